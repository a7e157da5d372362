"""Best-first search that grows the tree where both sides play best: unbounded best-first minimax
with completion.

Cohen-Solal, "Learning to play two-player perfect-information games without knowledge" (2020): the
search of that paper's player. It is also its Descent if that stopped at the first new position
instead of the end of the game, which at our budgets would be a single line. A step walks from the
root along the best moves to a position not yet expanded, evaluates all its children in one batch,
and backs the values up. A node is worth its best child for the person that moves there; with a
vector of values by person, that holds for two to four seats.

Completion: a node is *solved* if a child is a solved win of its mover, or if all children are
solved. Its value is then exact, solved children are not entered any more, and a solved root ends
the search. The safest move is played: a solved win, no solved last place if there is anything else,
and otherwise the most visited, then the better value.
"""
