"""Shares of self-play between limits: a minimum and a cap for every config, quotas for boards and
configs, and a limit for all starved configs together."""

from ringrift.events.settings import SchedulingSettings

PRIORITY_MIN = 0.01
"""so that starvation has an effect on a config with a priority of 0"""
RAW_MIN = 1e-12
"""limits are divided by it"""

Shares = dict[str, float]
"""a number for each config or board; as a result, they sum to 1"""


def starvation(games: int, settings: SchedulingSettings) -> float:
    """Factor on the priority of a config with few games (requirement G14.09); the thresholds are
    this project's."""
    if games < settings.ultra_games:
        return settings.ultra_factor
    if games < settings.emergency_games:
        return settings.emergency_factor
    return settings.critical_factor if games < settings.critical_games else 1.0


def allocate(priorities: Shares, games: dict[str, int], settings: SchedulingSettings) -> Shares:
    """Shares that sum to 1: priority times starvation, each between minimum and cap, boards and
    configs within their quotas. The minimum takes precedence over a quota."""
    raw = starved(priorities, games, settings)
    count = len(raw)
    low, cap = settings.floor / count, min(1.0, max(settings.cap, 2.0 / count))
    if not settings.quotas:
        return bounded(raw, dict.fromkeys(raw, low), dict.fromkeys(raw, cap))
    quotas = {name: float(most) for name, most in (quota.split("=") for quota in settings.quotas)}
    high = {config: max(low, min(cap, quotas.get(config, 1.0))) for config in raw}
    boards: dict[str, list[str]] = {}
    for config in raw:
        boards.setdefault(config.partition("_")[0], []).append(config)
    raw_board, low_board, high_board = Shares(), Shares(), Shares()
    for board, names in boards.items():
        raw_board[board] = sum(raw[name] for name in names)
        low_board[board] = low * len(names)
        most = max(low_board[board], quotas.get(board, 1.0))
        high_board[board] = min(sum(high[name] for name in names), most)
    of_board = bounded(raw_board, low_board, high_board)
    shares = Shares()
    for board, names in boards.items():
        part = {name: raw[name] for name in names}
        most_of = {name: high[name] for name in names}
        shares |= bounded(part, dict.fromkeys(names, low), most_of, of_board[board])
    return shares


def starved(priorities: Shares, games: dict[str, int], settings: SchedulingSettings) -> Shares:
    """Priorities times starvation, where the factors raise the starved configs together to at most
    `starved_max` of the sum: the terms of the others would have no effect otherwise."""
    plain = {config: max(value, PRIORITY_MIN) for config, value in priorities.items()}
    factors = {config: starvation(games[config], settings) for config in plain}
    needy = [config for config, factor in factors.items() if factor > 1.0]
    raised = sum(plain[config] * factors[config] for config in needy)
    others = sum(value for config, value in plain.items() if config not in needy)
    limit = settings.starved_max / (1.0 - settings.starved_max) * others
    damped = min(1.0, limit / raised) if others and raised else 1.0
    return {
        config: max(value * max(factors[config] * damped, 1.0), RAW_MIN)
        for config, value in plain.items()
    }


def bounded(raw: Shares, low: Shares, high: Shares, total: float = 1.0) -> Shares:
    """min(max(s * raw, low), high) with the one s for which they sum to `total`.

    Needs raw > 0 and sum(low) <= total. If the upper limits sum to less than `total`, all are
    exceeded in proportion."""
    room = sum(high.values())
    if room <= 0.0:  # every quota is 0
        return dict.fromkeys(high, total / len(high))
    if room <= total:
        return {name: most * total / room for name, most in high.items()}

    # the sum grows with s, piecewise linear between the scales at which a share leaves a limit
    bends = [(low[name] / value, value) for name, value in raw.items()]
    bends += [(high[name] / value, -value) for name, value in raw.items()]
    scale, slope, missing = 0.0, 0.0, total - sum(low.values())
    for bend, change in sorted(bends):
        if slope > 0.0 and slope * (bend - scale) >= missing:
            scale += missing / slope
            break
        scale, missing, slope = bend, missing - slope * (bend - scale), slope + change
    shares = {name: min(max(scale * value, low[name]), high[name]) for name, value in raw.items()}
    reached = sum(shares.values())  # `total` but for rounding
    return {name: share * total / reached for name, share in shares.items()}
