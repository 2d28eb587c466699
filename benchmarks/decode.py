"""Speed of decoding, in the accelerator's cycles and on this computer: the first tokens of a sequence, greedy.

Usage: ``python benchmarks/decode.py [--config kv260] [--set key=value] [--tokens 4] [--check] [--record NAME]``.
With ``--check`` every logit is compared with the golden model. The simulator's speed is processor time of this process
on one core.
"""

import resource
import time
from pathlib import Path

import click
import numpy as np
from rtlm.gen.common.progress import TerminalProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.cli.options import config_option, set_option
from rtlm.host.figures.results import record, record_option
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.download import fetch
from rtlm.host.models.model import LlamaModel
from rtlm.host.reports.traffic import needed_bytes
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.simulation import simulate
from rtlm.sim import stream_ceiling

CONTEXT = 512
FIRST_TOKEN = 504
"""The word "The"."""
QUANTITIES = {
    "cycles": ("clock cycles", "measured in RTL"),
    "tokens_per_s": ("1/s at the configured clock", "measured in RTL"),
    "utilisation": ("of the memory's peak", "measured in RTL"),
    "ceiling": ("of the memory's peak", "modelled"),
    "clock_mhz": ("MHz", "estimated"),
    "bytes_per_token": ("bytes", "measured in RTL"),
    "simulated_tokens_per_s": ("1/s of processor time", "measured on this computer"),
}


@click.command()
@config_option
@set_option
@click.option("--tokens", default=4, show_default=True, help="Tokens to decode.")
@click.option("--model", "path", type=click.Path(path_type=Path), help="GGUF file instead of SmolLM2.")
@click.option("--check", is_flag=True, help="Compare every logit with the golden model.")
@record_option
def main(
    config: str, overrides: tuple[str, ...], tokens: int, path: Path | None, check: bool, record_as: str | None
) -> None:
    """Decode some tokens and print what each took."""
    configuration = load_config(config, overrides)
    progress = TerminalProgress()
    model = LlamaModel.open(path or fetch(progress=progress.stage))
    golden = (
        GoldenEngine(GoldenModel(model, kv_bits=configuration.attention.kv_bits), context=CONTEXT) if check else None
    )
    peak = configuration.port_bytes_per_s / (configuration.clock_mhz * 1e6)
    token = FIRST_TOKEN
    with simulate(configuration, model, context=CONTEXT, progress=progress) as simulation:
        progress.close()
        device = simulation.device
        ceiling = stream_ceiling(
            device.model.dram,
            ports=configuration.memory.ports,
            port_bytes=configuration.memory.port_bits // 8,
            clock_mhz=configuration.clock_mhz,
        )
        print("token  cycles     tokens/s  utilisation  of ceiling  simulated cycles/s  tokens/s  equal to golden")
        steps = []
        for position in range(tokens):
            columns = [ColumnInput(token=token, position=position, history=position, local_first=0, slot=0)]
            started = time.process_time()
            result = simulation.engine.step(columns, read_logits=check)
            seconds = time.process_time() - started
            cycles = result.counters["CYCLES"]
            by_purpose = needed_bytes(simulation.memory.plan, columns, logits=True, stored_logits=check)
            needed = sum(by_purpose.values())
            utilisation = needed / (cycles * peak)
            equal = None
            if golden:
                expected = golden.step(columns, read_logits=True).logits
                equal = np.array_equal(expected.view(np.uint32), result.logits.view(np.uint32))
            steps.append(
                {
                    "cycles": cycles,
                    "tokens_per_s": configuration.clock_mhz * 1e6 / cycles,
                    "utilisation": utilisation,
                    "bytes_per_token": needed,
                    "simulated_tokens_per_s": 1 / seconds,
                    "equal_to_golden": equal,
                }
            )
            said = "not checked" if equal is None else equal
            print(
                f"{position:5}  {cycles:9,}  {configuration.clock_mhz * 1e6 / cycles:8.1f}  {utilisation:11.2%}  "
                f"{utilisation / ceiling:10.2%}  {cycles / seconds:18,.0f}  {1 / seconds:8.3f}  {said}"
            )
            token = result.best[0]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"memory {device.model.dram.name}, ceiling {ceiling:.2%} of peak; {memory:,.0f} MiB resident at most")
    record(
        record_as,
        {"clock_mhz": configuration.clock_mhz, "ceiling": ceiling, "steps": steps},
        QUANTITIES,
        rtl=[(config, overrides)],
    )


if __name__ == "__main__":
    main()
