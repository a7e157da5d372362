"""The Gumbel search kernel against files of reference cases, in float32 as in play."""
