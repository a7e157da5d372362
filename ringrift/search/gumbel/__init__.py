"""Gumbel AlphaZero search: sequential halving over Gumbel-sampled root moves, completed Q values
below the root, and the improved policy as target.

Danihelka et al., "Policy improvement by planning with Gumbel", ICLR 2022; the details are those of
DeepMind's mctx, which this search equals for two players.
"""
