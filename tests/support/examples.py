"""One lawful fact of every type, made from the types of its fields."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ringrift.events import EventType, Fact, Settings
from ringrift.events.settings_sources import load

_TEXTS = (
    *("hex8_2p=0.25", "v2-micro>v2", "hex8_2p=" + "ab" * 32, "ab" * 32, "hex8_2p", "token-1_x"),
    *("name:1/~", "EVENTS/12", "U" + "A" * 55),
)
_SETTINGS = {
    "configs": "hex8_2p,square8_3p",
    "training.architectures": "v2,v4",
    "training.cascade": "v2-micro>v2",
    "training.init": f"hex8_2p={'ab' * 32}",
    "scheduling.quotas": "hex8_2p=0.25",
}
"""settings that fit one another"""


_RANKING = {"order": ["c", "o", "o", "o"], "ranks": [1, 2, 2, 4], "count": 12}
_SPENT = {"seconds": 0.25, "value": 0.25, "chosen_share": 0.5}
_EQUAL = {"a": 0.5, "b": 0.5}
_SCORE = {
    "candidate": "c",
    "opponent": "o",
    "games": 12,
    "scores": [[0.25, 2], [0.5, 1]],
    "rankings": [_RANKING],
    "efforts": [{"participant": "c", "decisions": 9, "nodes": 8, "depth": 1, **_SPENT}],
}
_AUDIT = {"node": "liar", "first_seq": 2, "games": 9, "decisions": 9, "differing": ["a"]}
_FIELDS: dict[str, dict[str, Any]] = {
    "AllocationDecided": {"shares": {"hex8_2p": 0.5, "hex8_3p": 0.5}},
    "ArchitectureSharesDecided": {"shares": _EQUAL},
    "ConfigWindow": {"config": "hex8_3p"},
    "EvaluationRequested": {"opponent": {"participant": "another", "harness": "random"}},
    "AuditFinished": {"found": [_AUDIT]},
    "EvaluationRecounted": _SCORE,
    "EvaluationScored": _SCORE,
    "GameCompleted": {"winner": 4, "ranks": [2, 2, 4, 1]},
    "GamesRetracted": {"rankings": [_RANKING], "scored_games": 12},
    "HyperparametersAdjusted": {
        "values": {"training.epochs": "1"},
        "factors": {"training.epochs": 0.5},
    },
    "MatchesImported": {"rankings": [_RANKING], "games": 12, "ids": "A" * 128},
    "MatchesRetracted": {"rankings": [_RANKING], "games": 12},
    "ModelDerived": {"parents": ["cd" * 32]},
    "ModelRegistered": {"parents": ["cd" * 32], "serves": {"hex8_3p": 2}},
    "ModelRolledBack": {"current": "cd" * 32},
    "Ranking": _RANKING,
    "RatingsUpdated": {
        "ratings": [
            {"participant": "p", "elo": 0.25, "se": 0.25, "games": 2, "se_to_current": 0.25},
            {"participant": "q", "elo": 0.0, "se": 0.0, "games": 2},
        ],
        "anchor": "q",
    },
    "SegmentArchived": {"place": "s3://bucket/GAMES/1-12.parquet"},
    "ModelArchived": {"place": "s3://bucket/models/12ab"},
    "SelfplayPlanned": {"games": 4, "games_per_ticket": 2, "tickets": [2, 2]},
    "ShardExported": {"first_seq": 1, "last_seq": 12},
    "ShardSummary": {"games": 8, "wins": [2, 2, 2, 2], "plies_squared": 2},
    "TreeHeadRecorded": {"size": 12, "after": 10, "marks": "AbC-123_"},
    "TrainingRequested": {
        "hyperparameters": {"training.epochs": "1"},
        "others": [{"config": "hex8_3p", "shards": ["ab" * 32], "samples": 12}],
        "within": None,
    },
}
"""values that obey the laws of a fact; those of its other fields follow from their types"""


def sample(kind: Any) -> Any:
    """A JSON value of a type, derived from its structure."""
    info = msgspec.inspect
    match kind:
        case info.StructType(cls=cls) if cls is Settings:
            return msgspec.to_builtins(load(_SETTINGS))
        case info.StructType():
            chosen = _FIELDS.get(kind.cls.__name__, {})
            fields = {field.encode_name: sample(field.type) for field in kind.fields} | chosen
            return fields if kind.tag is None else {kind.tag_field: kind.tag, **fields}
        case info.StrType():
            texts = (text for text in _TEXTS if re.search(kind.pattern or "$^", text))
            return next(texts, 'text \N{SNOWMAN} "quoted"')
        case info.BytesType():
            return "AAEC/w=="
        case info.IntType():
            return max(kind.ge or 0, 1 if kind.gt is not None else 0) + 2
        case info.FloatType():
            return 0.25
        case info.BoolType():
            return True
        case info.LiteralType():
            return kind.values[-1]
        case info.VarTupleType():
            return [sample(kind.item_type)] * (4 if kind.max_length == 4 else 2)
        case info.TupleType():
            return [sample(item) for item in kind.item_types]
        case info.DictType():
            return {sample(kind.key_type): sample(kind.value_type)}
        case info.UnionType():
            return sample(next(each for each in kind.types if not isinstance(each, info.NoneType)))
    raise AssertionError(f"no sample for {kind}")


def example(kind: EventType) -> Fact:
    """A fact with all fields."""
    return msgspec.convert(sample(msgspec.inspect.type_info(kind.fact_type)), kind.fact_type)
