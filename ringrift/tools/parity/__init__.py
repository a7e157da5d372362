"""The rules against recorded traces of the reference engine (format `ringrift-parity-trace/1`)."""
