"""The C driver's sources in a folder, and how strictly they are compiled."""

from rtlm.gen.package.driver import FOLDER, driver_files
from rtlm.gen.package.headers import registers_header

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow", "-Wstrict-prototypes")


def write_driver(config, folder):
    """Write the driver and the header that it includes; return where the C files are."""
    (folder / FOLDER).mkdir()
    (folder / "registers.h").write_text(registers_header(config.matmul.columns))
    for name, text in driver_files(config.to_params()).items():
        (folder / name).write_text(text)
    return folder / FOLDER
