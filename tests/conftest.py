import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import is_hypothesis_test, settings
from rtlm.host.models.download import cached, fetch
from rtlm.host.models.random_model import write_random_model
from rtlm.host.models.sources import GEMMA3_270M
from rtlm.host.verification.seeds import DEFAULT_SEED, parse_seed
from rtlm.sim.verilator.build import WAVEFORMS
from rtlm.sim.verilator.find import FST_SENTENCE, can_write_fst


def pytest_addoption(parser):
    parser.addoption("--fuzz", type=int, default=1, metavar="N", help="N times as many damaged files of each kind")
    parser.addoption("--faults", type=int, default=1, metavar="N", help="N times as many random faults")
    parser.addoption(
        "--seed", default=str(DEFAULT_SEED), metavar="N|random", help=f"seed of all random tests ({DEFAULT_SEED})"
    )
    parser.addoption("--matrix", action="store_true", help="all configurations of the pairwise matrix, not only two")
    parser.addoption("--presets", default="ecp5-85k", help="presets to generate and lint: names with commas, or all")
    parser.addoption("--boards", action="store_true", help="decode through a board's top with its SDRAM: minutes")
    parser.addoption("--litedram", action="store_true", help="the DRAM model against LiteDRAM itself: minutes")
    parser.addoption("--bitstream", action="store_true", help="place and route the self-test: half an hour and more")


def is_worker(config):
    return hasattr(config, "workerinput")


@pytest.hookimpl(tryfirst=True)  # before hypothesis reads its option
def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Started in the background of a shell, which has programs ignore Ctrl-C and pass that on to what they start.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "randomised: takes the fixture `seed`, or is given examples by hypothesis")
    try:
        # A process of pytest-xdist is told what the first one drew.
        config.option.seed = config.workerinput["seed"] if is_worker(config) else parse_seed(config.option.seed)
    except ValueError as error:
        raise pytest.UsageError(f"--seed: {error}") from None
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = config.option.seed
    # Before modules with tests are imported, for they take the number of examples from the profile then.
    # No deadline: how long an example takes says what else the machine does.
    settings.register_profile("suite", deadline=None, max_examples=100 * config.getoption("--fuzz"))
    settings.load_profile("suite")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["seed"] = node.config.option.seed


def pytest_report_header(config):
    return f"seed: {config.option.seed}"


def pytest_itemcollected(item):
    if "seed" in item.fixturenames or is_hypothesis_test(item.obj):
        item.add_marker("randomised")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed and item.get_closest_marker("randomised"):
        report.sections.append(("Seed", f"again: pytest --seed {item.config.option.seed} '{item.nodeid}'"))
    return report


@pytest.fixture(params=WAVEFORMS)
def waveform(request):
    """A kind of waveform that can be written here."""
    if request.param == "fst" and not can_write_fst():
        pytest.skip(FST_SENTENCE)
    return request.param


@pytest.fixture(scope="session")
def seed(request):
    """Seed of what a test draws: `--seed`."""
    return request.config.option.seed


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The real model's file, downloaded where it is not in the user's cache."""
    return fetch()


@pytest.fixture(scope="session")
def gemma3_270m() -> Path:
    """The file of Gemma 3 270M, where it is in the user's cache."""
    path = cached(GEMMA3_270M)
    if path is None:
        pytest.skip("rtlm list presets --for gemma3-270m --accept-licence gemma fetches the model that this test needs")
    return path


@pytest.fixture(scope="session")
def random_model(tmp_path_factory) -> Callable[..., Path]:
    """Find or write the file of a random model with the arguments of `write_random_model`; nobody may change it."""
    folder = tmp_path_factory.mktemp("random-models")
    files: dict[str, Path] = {}

    def find(**arguments) -> Path:
        key = repr(sorted(arguments.items()))
        if key not in files:
            files[key] = write_random_model(folder / f"{len(files)}.gguf", **arguments)
        return files[key]

    return find
