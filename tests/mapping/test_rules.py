import pytest

from cgprot.errors import InputError, UsageError
from cgprot.mapping.rules import load_rules

RULES = """
name = "mine"
position = "heavy"
force = "sum"

[[bead]]
type = "CH0"
number = 1
element = "C"
hydrogens = 0
"""


def test_heavy_has_amaros_numbers():
    numbers = load_rules("heavy").type_numbers
    assert len(numbers) == 12
    assert [numbers[name] for name in ("CH0", "CH3", "NH0", "NH3", "OH0", "OH1", "SH0", "SH1")] == [
        1, 4, 5, 8, 9, 10, 11, 12,
    ]  # fmt: skip


def test_hash_follows_content_and_not_layout(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(RULES)
    first = load_rules(path).hash
    path.write_text("# a comment\n" + RULES.replace("\n\n", "\n"))
    assert load_rules(path).hash == first
    path.write_text(RULES.replace("number = 1", "number = 2"))
    assert load_rules(path).hash != first


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("number = 1", "nummer = 1"), "bead.0.number"),
        (('force = "sum"', 'force = "average"'), "force"),
        (("number = 1", "number = 0"), "bead.0.number"),
        (("[[bead]]", RULES[RULES.index("[[bead]]") :] + "[[bead]]"), "share a type"),
        (('name = "mine"', "name = mine"), "not TOML"),
    ],
)
def test_wrong_rules_are_refused_by_key(tmp_path, change, words):
    path = tmp_path / "mine.toml"
    path.write_text(RULES.replace(*change))
    with pytest.raises(InputError, match=words) as caught:
        load_rules(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_name_lists_the_shipped_ones():
    with pytest.raises(UsageError, match="heavy"):
        load_rules("lihgt")
