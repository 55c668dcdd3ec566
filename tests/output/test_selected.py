from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import UsageError
from auditor.output.selected import OnlyVerdicts

VERDICTS = st.sampled_from(["pass", "warn", "fail", "unknown"])
TARGETS = st.text() | st.sampled_from(['","kind":"ip","verdict":"fail"', "\\", '\\"', "192.0.2.5"])


@given(st.lists(st.tuples(TARGETS, VERDICTS)), st.lists(VERDICTS, min_size=1))
def test_records_are_kept_by_their_own_verdict(
    found: list[tuple[str, str]], wanted: list[str]
) -> None:
    try:
        lines = [
            orjson.dumps({"target": target, "kind": "ip", "verdict": verdict}) + b"\n"
            for target, verdict in found
        ]
    except orjson.JSONEncodeError:  # a lone surrogate is in no record
        return
    kept = [line for line, (_, verdict) in zip(lines, found, strict=True) if verdict in wanted]
    assert OnlyVerdicts([",".join(wanted)])(b"".join(lines)) == b"".join(kept)


def test_what_is_no_verdict_is_refused() -> None:
    with pytest.raises(UsageError, match="--only: '' is not one of pass, warn, fail, unknown"):
        OnlyVerdicts(["pass,"])
