"""The status line."""

import io

from rtlm.gen.common.progress import SilentProgress, TerminalProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_status_line_is_wiped_before_the_answer_and_does_not_come_back_into_it():
    screen = Terminal()
    progress = TerminalProgress(screen, screen)
    progress.stage("reading the prompt", 1, 2)
    progress.text("Paris")
    progress.stage("answering", 1, 8)
    progress.text(" is")
    progress.close()
    text = screen.getvalue()
    assert "reading the prompt 1/2" in text
    assert text.endswith("\rParis is")
    assert "answering" not in text


def test_status_goes_on_while_the_answer_goes_into_a_file():
    screen, file = Terminal(), io.StringIO()
    progress = TerminalProgress(file, screen)
    progress.text("Paris")
    progress.stage("answering", 8, 8)
    assert "answering 8/8" in screen.getvalue()
    assert file.getvalue() == "Paris"


def test_without_a_terminal_each_stage_is_one_line():
    log = io.StringIO()
    progress = TerminalProgress(None, log)
    for done in range(5):
        progress.stage("packing", done, 5)
    for done in range(5):
        progress.stage(f"compiled {done} of 5 files")
    progress.stage("building")
    progress.text("nowhere")
    assert log.getvalue() == "packing ...\ncompiled 0 of 5 files ...\nbuilding ...\n"


def test_a_note_stays_where_the_status_line_was():
    for screen in (Terminal(), io.StringIO()):
        progress = TerminalProgress(None, screen)
        progress.stage("building", 1, 2)
        progress.note("Read this.")
        progress.stage("running")
        progress.close()
        assert "Read this.\n" in screen.getvalue()
    assert screen.getvalue() == "building ...\nRead this.\nrunning ...\n"


def test_silence():
    out = io.StringIO()
    progress = SilentProgress(out)
    progress.stage("packing")
    progress.text("Paris")
    progress.close()
    assert out.getvalue() == "Paris"


def test_log_that_holds_both_keeps_the_answer_whole():
    log = io.StringIO()
    progress = TerminalProgress(log, log)
    progress.stage("reading the prompt")
    progress.text("Par")
    progress.stage("answering")
    progress.text("is")
    assert log.getvalue() == "reading the prompt ...\nParis"
