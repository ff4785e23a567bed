"""central/store/mysql/packed.py: an hour of histograms as one row, by plain Python and by the core."""

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.store.mysql.packed import MAX_BYTES, minutes_of, pack, unpack
from tests.central.cores import each_core

HOURS = st.lists(st.dictionaries(st.integers(0, 59), st.binary(min_size=1, max_size=300), max_size=8), max_size=5)


@each_core
@given(hours=HOURS)
def test_what_was_packed_comes_back(core: ModuleType | None, hours: list[dict[int, bytes]]) -> None:
    packed = [pack(hour) or b"" for hour in hours]
    counts, minutes, encoded = unpack(packed, core)
    assert counts.tolist() == [len(hour) for hour in hours]
    assert list(zip(minutes.tolist(), encoded, strict=True)) == [
        pair for hour in hours for pair in sorted(hour.items())
    ]
    assert [dict(minutes_of(content)) for content in packed] == hours


@given(content=st.binary(max_size=30) | st.dictionaries(st.integers(0, 255), st.binary(max_size=9)).map(pack))
def test_the_core_refuses_what_plain_python_refuses(content: bytes) -> None:
    try:
        plain = unpack([content], None)
    except ValueError:
        with pytest.raises(ValueError, match="is not the packed histograms of an hour"):
            unpack([content])
    else:
        assert unpack([content]).encoded == plain.encoded


@each_core
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\0\0\0", id="half a head"),
        pytest.param(b"\0\0\0\0", id="no histogram"),
        pytest.param(b"\0\0\0\2x", id="half a histogram"),
        pytest.param(b"\0\0\1\0" + b"x" * 255, id="a long one that is cut"),
        pytest.param(b"\x3c\0\0\1x", id="minute 60"),
        pytest.param(b"\5\0\0\1x" * 2, id="a minute twice"),
        pytest.param(b"\5\0\0\1x\4\0\0\1x", id="minutes out of order"),
    ],
)
def test_what_pack_never_makes_is_refused(core: ModuleType | None, content: bytes) -> None:
    with pytest.raises(ValueError, match="is not the packed histograms of an hour"):
        unpack([b"", content], core)


def test_an_hour_that_is_too_large_is_not_packed() -> None:
    most = MAX_BYTES // 2 - 4
    assert pack({0: b"x" * most, 59: b"y" * most}) is not None
    assert pack({0: b"x" * most, 59: b"y" * (most + 1)}) is None


def test_only_a_list_of_bytes_is_unpacked() -> None:
    for wrong in ([None], ["x"], [bytearray()]):
        with pytest.raises(TypeError):
            unpack(wrong)  # type: ignore[arg-type] # wrong on purpose
