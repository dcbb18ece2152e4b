"""A run that is killed by SIGKILL, again and again, and resumed ends bit for bit where the uninterrupted one ends."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training.killed_run import BATCH, EPOCHS, MOMENTS, N, make
from training.same_run import assert_same_run


@pytest.mark.parametrize("network, optimizer, seed", [
    ("deep", "Adam", 3), ("deep", "Momentum", None), ("resnet", "Adam", None), ("resnet", "Momentum", 4)])
def test_a_killed_and_resumed_run_ends_as_the_uninterrupted_one(tmp_path, network, optimizer, seed):
    program = Path(__file__).with_name("killed_run.py")
    killed = tmp_path / "killed"
    subprocess.run([sys.executable, program, killed, network, optimizer, str(seed).lower()], check=True, timeout=300,
                   env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert len(MOMENTS) == 6 and len((killed / "history.jsonl").read_text().splitlines()) == EPOCHS

    other = make(killed, network, optimizer, seed)
    other.resume()
    assert other.current_iter == 12 and other.is_finished
    other.train()
    other_global = np.random.get_state(legacy=False)
    trainer = make(tmp_path / "whole", network, optimizer, seed)
    trainer.train()

    assert trainer.current_iter == EPOCHS * -(-N // BATCH)
    assert_same_run(other, trainer)
    np.testing.assert_equal(other_global, np.random.get_state(legacy=False))
    for folder in (killed, tmp_path / "whole"):
        assert {path.name for path in folder.iterdir()} == {"checkpoint.npz", "best.pkl", "history.jsonl"}
        lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert (killed / "best.pkl").read_bytes() == (tmp_path / "whole" / "best.pkl").read_bytes()
