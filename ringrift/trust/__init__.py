"""Evidence for people outside: the Merkle tree over `EVENTS`, tree heads, and proofs."""
