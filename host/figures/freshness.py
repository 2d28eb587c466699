"""Whether results are those of today's hardware and programs."""

from collections.abc import Mapping

from rtlm.host.figures.results import Results, text_hash, todays_verilog


def reasons(results: Results, *, generate: bool = False) -> list[str]:
    """Return why results may be out of date, a clause each; none where they are of today.

    Parameters
    ----------
    results
        What a benchmark measured.
    generate
        Whether RTL that is not in the cache is generated to be compared, which takes up to minutes.
    """
    found = []
    for hardware in results.rtl:
        changes = len(hardware.overrides)
        name = hardware.config + (f" with {changes} change{'s' * (changes > 1)}" if changes else "")
        if hardware.verilog_sha256 is None:
            found.append(f"the hash of the RTL of {name} was not written down")
            continue
        today = todays_verilog(hardware.config, hardware.overrides, generate=generate)
        if today is None:
            found.append(f"the RTL of {name} is not in the cache and was not compared (--generate generates it)")
        elif today != hardware.verilog_sha256:
            found.append(f"the RTL of {name} has changed")
    if results.source:
        if results.source.sha256 is None:
            found.append("the hash of its source was not written down")
        elif results.source.sha256 != text_hash(results.source.paths):
            found.append(f"{', '.join(results.source.paths)} have changed")
    return list(dict.fromkeys(found))


def warnings(results: Mapping[str, Results], *, generate: bool = False) -> list[str]:
    """Return a sentence for each results file that may be out of date, with the command that renews it."""
    return [
        f"{name} ({each.date}, revision {each.revision}): {'; '.join(why)}. Renew it with: {each.renewal(name)}"
        for name, each in results.items()
        if (why := reasons(each, generate=generate))
    ]
