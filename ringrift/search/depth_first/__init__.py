"""Alpha-beta, max-n and best-reply search: one kernel with a stack of its own.

The search deepens iteratively: depth 1 looks at the position after one decision, depth d after
d - 1 whole turns, the mover's own first. So from depth 2 on no leaf is in the middle of a turn,
where a ring has been placed and has yet to move, as the best of many such positions is mostly
chance: with leaves a number of decisions ahead, minimax with 1500 positions scored 0.66 against the
heuristic without search, and 0.73 with 300; with whole turns 1500 score 0.88 (hex8_2p, 120, 120 and
60 games). Forced plies belong to the decision before them. Because the stack is an array, a search
stops at a leaf that the caller evaluates and resumes later, and many games advance together.

MINIMAX  Two seats. One seat may move several times in a row, so values do not change sign from ply
         to ply: all are those of the root player, the person to move at the root, who maximizes
         them; the other minimizes them. Alpha-beta with fail-soft bounds (Knuth & Moore 1975).
MAXN     Three or four seats, a value for each person; the mover maximizes its own (Luckhardt &
         Irani 1986). Ties go to the lower move code, so that the result does not depend on the move
         order. Nothing is pruned: shallow pruning (Korf 1991) is sound only if the sum of values is
         bounded and a seat can come close to it alone, but seats that share a rank share its value,
         and the values of a network have any sum. The transposition table still saves work.
BRS      Three or four seats (Schadd & Winands 2011): between two turns of the root player only one
         opponent makes a turn, the one that hurts the root player most; alpha-beta then looks twice
         as far. The rules know no passing, so the other opponents are skipped: where the turn of
         the first opponent begins, the legal moves of all opponents are choices; the opponent that
         moves is put on turn and plays a whole turn (placing, moving, captures, lines, regions),
         and the next turn is the root player's. A seat put on turn this way counts as able to act
         for the three-round rule if it has a stack or a ring in hand; rounds are closed only by
         turns in their natural order. Letting the others play a guessed move instead (BRS+, Esser
         et al. 2013) keeps positions legal, but a good guess costs a look at all moves of every
         decision that is skipped.

Entries of the transposition table are used at exactly the depth they were searched to, so a
completed depth has the value of the plain search. Moves are ordered by the table's move, two
killers of the level, then history (Schaeffer 1989), and at the root by the values of the previous
depth.
"""
