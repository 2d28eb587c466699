"""Texts at which an answer ends, however it is cut into pieces."""

from hypothesis import given
from hypothesis import strategies as st
from rtlm.host.serving.stop_texts import StopTexts


@given(st.lists(st.text("ab", max_size=4), max_size=12), st.lists(st.text("ab", min_size=1, max_size=4), max_size=4))
def test_an_answer_ends_at_the_first_of_them(pieces, stops):
    whole = "".join(pieces)
    # The one that is complete first; of those, the one that begins first.
    ends = [end for end in range(len(whole) + 1) if any(whole[:end].endswith(stop) for stop in stops)]
    texts, shown = StopTexts(stops), ""
    for piece in pieces:
        shown += texts.push(piece)
    shown += texts.finish()
    assert texts.found == bool(ends)
    if not ends:
        assert shown == whole
    else:
        assert not any(stop in shown for stop in stops)
        assert whole.startswith(shown)
        assert any(whole[len(shown) :].startswith(stop) for stop in stops)


def test_what_may_become_one_waits():
    texts = StopTexts(["\n\nUser:"])
    assert [texts.push(piece) for piece in ("a\n", "\nUs", "b\n", "\nUser: x")] == ["a", "", "\n\nUsb", ""]
    assert texts.found
    assert StopTexts([]).push("abc") == "abc"
