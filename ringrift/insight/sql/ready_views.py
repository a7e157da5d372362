"""Ready views over those of the event types."""

from ringrift.events.facts import Z_95

_WORK = """
    SELECT time, config, node, 'selfplay' AS work, games, play_seconds AS seconds
    FROM selfplay_finished
    UNION ALL SELECT time, config, node, 'evaluation', games, play_seconds FROM evaluation_scored
    UNION ALL SELECT time, config, node, 'training', 0, train_seconds FROM training_finished
"""
_SUMS = "MAP(VARCHAR, DOUBLE)"
_NODES = f"MAP(VARCHAR, STRUCT(cores BIGINT, players BIGINT, busy {_SUMS}, waited {_SUMS}))"
PRICES = """(
    SELECT node, coalesce(arg_max(cost_per_hour, seq) FILTER (by_operator),
                          arg_max(cost_per_hour, seq)) AS per_hour
    FROM (SELECT node, cost_per_hour, seq, true AS by_operator FROM node_registered AS r WHERE NOT
                 EXISTS (FROM node_unregistered AS u WHERE u.node = r.node AND u.seq > r.seq)
          UNION ALL SELECT node, cost_per_hour, seq, false FROM node_described WHERE rented)
    GROUP BY node)"""
"""The hourly cost of each node, by its newest registration, else as it says itself."""

READY_VIEWS: dict[str, str] = {
    # finished tickets, one per row
    "work": _WORK,
    # the newest rating table of every config, strongest first; the anchor has Elo 0
    "leaderboard": f"""
        WITH newest AS (
            SELECT config, time, ratings, anchor FROM ratings_updated
            QUALIFY row_number() OVER (PARTITION BY config ORDER BY seq DESC) = 1
        ), rows AS (SELECT config, time AS rated_at, anchor, unnest(ratings) AS r FROM newest)
        SELECT config, rank() OVER (PARTITION BY config ORDER BY r.elo DESC) AS place,
               r.participant AS participant, r.elo AS elo, {Z_95} * r.se AS elo_95_half_width,
               r.se AS se, r.games AS games, anchor, rated_at
        FROM rows ORDER BY config, place
    """,
    # what the networks of each architecture reached; Elo as each has played most
    "architectures": """
        WITH made AS (
            SELECT DISTINCT config, model, left(model, 12) AS digits, architecture
            FROM model_registered
        ),
        rated AS (
            SELECT config, left(participant, 12) AS digits, arg_max(elo, games) AS elo,
                   sum(games) AS games
            FROM leaderboard GROUP BY ALL
        ), trained AS (
            SELECT config, model, sum(train_seconds) / 3600 AS hours
            FROM training_finished GROUP BY ALL
        )
        SELECT config, architecture, count(*) AS networks,
               coalesce(sum(games), 0)::BIGINT AS games, avg(elo) AS elo_mean,
               max(elo) AS elo_best, coalesce(sum(hours), 0) AS hours
        FROM made LEFT JOIN trained USING (config, model)
             LEFT JOIN rated USING (config, digits)
        GROUP BY ALL ORDER BY ALL
    """,
    # people and those they played, by a fit of its own; the anchor of a row has Elo 0
    "people": "SELECT * FROM raw.people ORDER BY config, anchor, elo DESC",
    # work finished per hour
    "throughput": """
        SELECT time_bucket(INTERVAL 1 HOUR, time) AS hour, config, work,
               sum(games)::BIGINT AS games, sum(seconds) AS worker_seconds, count(*) AS tickets
        FROM work GROUP BY ALL ORDER BY hour, config, work
    """,
    # core-seconds of each node by work, and those that nothing used by what they waited for
    "utilisation": f"""
        WITH node AS (
            SELECT time, seconds, unnest(map_entries(nodes::{_NODES}), recursive := true)
            FROM utilisation_sampled
        ), part AS (
            SELECT time, key AS node, seconds * cores AS total, true AS used,
                   unnest(map_entries(busy)) AS entry FROM node
            UNION ALL SELECT time, key, seconds * cores, false,
                   unnest(map_entries(waited)) FROM node
        )
        SELECT time, node, used, entry.key AS what, entry.value AS core_seconds,
               entry.value / total AS share
        FROM part ORDER BY time, node, used DESC, core_seconds DESC
    """,
    # hours of work and their cost, NULL for a node without a price
    "cost": f"""
        SELECT config, node, work, sum(seconds) / 3600 AS hours, sum(games)::BIGINT AS games,
               count(*) AS tickets, sum(seconds / 3600 * per_hour) AS cost
        FROM work LEFT JOIN {PRICES} USING (node)
        GROUP BY config, node, work ORDER BY config, hours DESC
    """,
    # the games that generations were trained on; their assessment is in quality_assessed
    "quality": """
        WITH played AS (
            SELECT p.config, p.generation, g.plies, g.winner,
                   array_to_string(list_slice(string_split(g.moves, ' '), 1, 12), ' ') AS opening
            FROM game_completed g JOIN selfplay_planned p ON g.cause = 'EVENTS/' || p.seq
            WHERE g.origin = 'selfplay'
        )
        SELECT config, generation, count(*) AS games, avg(plies) AS plies_mean,
               stddev_pop(plies) AS plies_sd, avg((winner > 0)::INT) AS decisive,
               avg((winner = 1)::INT) AS first_seat_wins,
               count(DISTINCT opening) / count(*) AS openings_distinct
        FROM played GROUP BY ALL ORDER BY config, generation
    """,
    # seconds from an event to its effects, by the clocks of the writers
    "loop_latency": """
        WITH hops AS (
            SELECT c.type AS cause, e.type AS effect, epoch(e.time) - epoch(c.time) AS s
            FROM log e JOIN log c ON e.cause = c.position
        )
        SELECT cause, effect, count(*) AS times, median(s) AS seconds_median,
               quantile_cont(s, 0.95) AS seconds_p95, max(s) AS seconds_max
        FROM hops GROUP BY ALL ORDER BY times DESC
    """,
}
