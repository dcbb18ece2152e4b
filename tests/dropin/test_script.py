"""``python -m fastconv script.py`` runs a reader's script as ``python script.py`` does, but for the time."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = "ch08/train_deep_net.py"


def run(folder, *words, plain=False, **environment):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    environment.pop("FASTCONV_VERBOSE", None)
    command = [sys.executable, *(() if plain else ("-m", "fastconv")), *map(str, words)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def losses(done):
    assert done.returncode == 0, done.stderr
    line, = (line for line in done.stdout.splitlines() if line.startswith("losses"))
    return list(map(float, line.split()[1:]))


def write(folder, text, name="script.py"):
    (folder / name).write_text(text)
    return name


def test_a_script_runs_on_the_engine_and_its_parameters_come_back(folder):
    done = run(folder, "--report", SCRIPT, "one", "--two")
    assert len(losses(done)) == 40
    assert "W1 float64 True ['one', '--two']" in done.stdout
    assert "evaluations 4 4" in done.stdout
    lines = [line for line in done.stdout.splitlines() if line.startswith("===")]
    assert [line.split(",")[0] for line in lines[:4]] == [f"=== epoch:{n}" for n in (1, 2, 3, 4)]
    assert lines[0].endswith("===") and "loss" not in lines[0]
    assert "train loss" not in done.stdout
    assert float(done.stdout.partition("test acc:")[2].split(" ")[0].rstrip("\n").split("\n")[0]) <= 1
    assert "DeepNet trained on the engine in float32" in done.stderr
    assert "common.trainer: Trainer" in done.stderr
    assert "Trainer, steps of the engine" in done.stderr and "time saved" in done.stderr


def test_it_learns_what_the_books_code_learns(folder):
    plain, fast = run(folder / "ch08", "train_deep_net.py", plain=True), run(folder, SCRIPT)
    plain, fast = (float(done.stdout.rpartition("test acc:")[2].split()[0]) for done in (plain, fast))
    assert plain > 0.3 and fast > 0.3


def test_strict_mode_prints_the_same_losses_as_the_books_code(folder):
    plain, strict = run(folder / "ch08", "train_deep_net.py", plain=True), run(folder, "--strict-book", SCRIPT)
    expected, got = losses(plain), losses(strict)
    assert len(got) == len(expected) == 40
    assert got[:20] == pytest.approx(expected[:20], abs=1e-4)
    printed = [[line for line in done.stdout.splitlines() if line.startswith("===")] for done in (plain, strict)]
    assert printed[0] == printed[1]
    assert strict.stdout.count("train loss:") == 40


def test_the_first_losses_are_those_of_double_precision(folder):
    single, double = losses(run(folder, SCRIPT)), losses(run(folder, "--precision", "float64", SCRIPT))
    assert single[:5] == pytest.approx(double[:5], rel=1e-4)
    assert single[1:] != double[1:]


def test_only_some_of_it(folder):
    done = run(folder, "--report", "--only", "layers,common.util", SCRIPT)
    assert losses(done)
    assert "common.layers: Relu" in done.stderr and "common.util: " in done.stderr
    assert "common.trainer" not in done.stderr and "common.optimizer" not in done.stderr
    assert done.stdout.count("train loss:") == 40


def test_a_script_pays_for_what_it_uses(folder):
    """No parser of options, no kernels and no random numbers of NumPy, unless it uses them itself."""
    unused = "argparse", "dataclasses", "fastconv.kernels.native", "numpy.random"
    name = write(folder, f"from common.optimizer import SGD\nimport sys\nprint(*{{*{unused}}} & set(sys.modules))\n"
                         "print(SGD.__mro__[1].__module__)\n")
    assert run(folder, name).stdout.splitlines() == ["", "fastconv.optimizers"]


def test_a_script_that_seeds_nothing_draws_other_numbers_each_time(folder):
    """Probes draw from NumPy's stream where nobody has before."""
    name = write(folder, "from common.layers import Dropout\nimport numpy as np\nprint(Dropout.__mro__[1].__module__, "
                         "np.random.rand())\n")
    (first, a), (second, b) = (run(folder, name).stdout.split() for _ in range(2))
    assert first == second == "fastconv.layers.dropout" and a != b


def test_the_working_directory_may_be_any(folder, tmp_path):
    for where, script in ((folder / "ch08", "train_deep_net.py"), (tmp_path, "reader/" + SCRIPT),
                          ("/", folder / SCRIPT)):
        assert len(losses(run(where, script))) == 40


def test_verbose_in_the_environment_reports(folder):
    name = write(folder, "import common.layers\n")
    done = subprocess.run([sys.executable, "-m", "fastconv", name], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "FASTCONV_VERBOSE": "1"})
    assert "common.layers: Relu" in done.stderr
    assert "fastconv" not in run(folder, name).stderr


@pytest.mark.parametrize("ending, code", [("raise SystemExit(3)", 3), ("import sys; sys.exit('no')", 1), ("", 0),
                                          ("raise KeyboardInterrupt", 130), ("raise OSError(2, 'gone')", 1)])
def test_exit_codes_pass_through(folder, ending, code):
    assert run(folder, write(folder, ending + "\n")).returncode == code


def test_a_traceback_is_the_scripts_own(folder):
    name = write(folder, "def broken():\n    return 1 / 0\n\nbroken()\n")
    ours, plain = run(folder, name), run(folder, name, plain=True)
    assert ours.returncode == plain.returncode == 1
    assert ours.stderr == plain.stderr


def test_a_syntax_error_is_shown(folder):
    done = run(folder, write(folder, "def f(:\n"))
    assert done.returncode == 1 and "SyntaxError" in done.stderr and "runpy" not in done.stderr


def test_a_layers_error_is_in_clear_words(folder):
    name = write(folder, "import numpy as np\nfrom common.layers import Convolution\n"
                         "Convolution(np.zeros((2, 1, 3, 3)), np.zeros(2)).forward(np.zeros((28, 28)))\n")
    done = run(folder, name)
    assert done.returncode == 1
    assert "x has shape (28, 28), expected (N, C, H, W)" in done.stderr and f'{name}", line 3' in done.stderr


def test_a_script_that_is_not_there(folder):
    done = run(folder, "ch08/nothing.py")
    assert done.returncode == 1 and done.stdout == ""
    assert "the script ch08/nothing.py does not exist; the working directory is" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_options(folder):
    done = run(folder, "--only", "layres", SCRIPT)
    assert done.returncode == 1 and "only names 'layres', which is nothing of the book's" in done.stderr
    assert run(folder, "--precision", "float16", SCRIPT).returncode == 2
    assert run(folder, "--unknown", SCRIPT).returncode == 2


def test_subcommands_are_told_from_scripts(folder):
    write(folder, "print('a script')\n", "info")
    assert "a script" not in run(folder, "info").stdout
    assert "a script" in run(folder, "./info").stdout
    assert "usage: fastconv run" in run(folder, "run", "--help").stdout
    assert "SCRIPT.py" in run(folder, "--help").stdout


def test_the_script_sees_what_python_would_show_it(folder):
    text = ("import sys\nprint(__name__, __file__, sys.argv, sys.path[0])\n"
            "import pickle\nclass Own: pass\nprint(type(pickle.loads(pickle.dumps(Own()))) is Own)\n")
    name = write(folder, text)
    assert run(folder, name, "x").stdout == run(folder, name, "x", plain=True).stdout
