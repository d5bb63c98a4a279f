import pytest
import torch

from al_loop.config import ModelSettings
from al_loop.records import Utterance
from benchmarks.arithmetic import Dimensions, Work, encoder_flops
from benchmarks.floor import DTYPES, Block, Machine, blocks, floor, floors, matrix_rate, parts

BASE = Dimensions(512, 2048, 6, 6, 51865, 80)
MACHINE = Machine({torch.float32: 1e9, torch.bfloat16: 4e9, torch.int8: 8e9}, bandwidth=1e9)


def test_every_part_takes_as_long_as_arithmetic_or_traffic_whichever_is_longer() -> None:
    # arithmetic: 2 s and 1 s; traffic at 4 bytes: 0.4 s and 4 s
    works = [(Work(2 * 10**9, 10**8), Work(10**9, 10**9))]
    found = floor("own", torch.float32, works, MACHINE, audio_s=2.0)
    assert found.seconds == pytest.approx((2 + 4) / 2)
    assert (found.flops, found.bytes) == (1.5e9, 4 * 1.1e9 / 2)
    # at 2 bytes and four times the rate: 0.5 s and 2 s
    assert floor("own", torch.bfloat16, works, MACHINE, 2.0).seconds == pytest.approx(2.5 / 2)
    # at 1 byte and eight times the rate: 0.25 s and 1 s
    assert floor("own", torch.int8, works, MACHINE, 2.0).seconds == pytest.approx(1.25 / 2)


def test_every_kind_of_numbers_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.floor.CPU_SIZE", 64)
    assert all(matrix_rate(dtype, "cpu") > 0 for dtype in DTYPES)


def test_a_block_holds_all_clips_of_a_window() -> None:
    found = blocks([6.0, 4.0] * 20 + [6.0], range(41))
    assert [(row.frames, len(row.emitted)) for row in found] == [(400, 20), (600, 21)]
    assert found[0].emitted == list(range(1, 40, 2))


def test_both_parts_count_every_clip() -> None:
    encoder, decoder = parts(BASE, Block(600, [20, 30]))
    assert encoder.flops == 2 * encoder_flops(BASE, 600)
    assert decoder.flops > 2 * 50 * BASE.output_weights


def test_thirty_seconds_cost_several_times_the_clips_own_windows() -> None:
    clips = [Utterance(str(i), "", "", 2.5 + 0.1 * i, "", "ky", "test") for i in range(20)]
    found = floors(BASE, clips, [30] * len(clips), ModelSettings(), MACHINE)
    seconds = {(row.windows, row.dtype): row.seconds for row in found}
    assert len(seconds) == 6
    assert seconds["30 s", torch.float32] > 3 * seconds["own", torch.float32]
    assert seconds["own", torch.float32] > 2 * seconds["own", torch.bfloat16]
