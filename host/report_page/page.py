"""The page: a template filled with headline figures and sections. What comes from the file is escaped."""

from collections.abc import Iterator
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rtlm.gen.common.installation import package_version
from rtlm.host.report_page.cycles import cycle_sections
from rtlm.host.report_page.energy import energy_sections
from rtlm.host.report_page.headlines import facts, headlines
from rtlm.host.report_page.palette import DARK, LIGHT, custom_properties
from rtlm.host.report_page.parts import Section
from rtlm.host.report_page.run_file import RunFile
from rtlm.host.report_page.speed import speed_sections

TEMPLATE, STYLE = "page.html.jinja", "page.css"


def render(run: RunFile) -> str:
    """Return the page of a run as HTML, which is the same for the same run."""
    environment = Environment(
        loader=PackageLoader("rtlm.host.report_page", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = code
    style = resources.files(__package__).joinpath(STYLE).read_text(encoding="utf-8")
    return environment.get_template(TEMPLATE).render(
        run=run,
        headlines=list(headlines(run)),
        sections=list(sections(run)),
        facts=list(facts(run)),
        version=package_version("rtlm"),
        light=Markup(custom_properties(LIGHT)),
        dark=Markup(custom_properties(DARK)),
        style=Markup(style),
    )


def code(text: str) -> Markup:
    """Return a sentence in which what stands between backquotes is code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return Markup.escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else Markup.escape(part) for i, part in enumerate(parts)
    )


def sections(run: RunFile) -> Iterator[Section]:
    """Return the sections in their order."""
    yield from cycle_sections(run)
    yield from energy_sections(run)
    yield from speed_sections(run)
