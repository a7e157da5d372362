"""The address of the pages."""

import pytest

from ringrift.cluster.pages import LOOPBACK, listen
from ringrift.errors import CommandError


@pytest.mark.parametrize("port", [-1, 65_536, 10**30])
def test_a_number_that_is_no_port_is_named_in_one_line(port: int) -> None:
    with pytest.raises(CommandError, match=f"port {port}: a port is a number from 0 to 65535"):
        listen(LOOPBACK, port)
