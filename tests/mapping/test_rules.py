import tomllib

import pytest

from cgprot.errors import InputError, UsageError
from cgprot.mapping.rules import load_rules
from cgprot.shipped import shipped

RULES = """
name = "mine"
position = "heavy"
force = "sum"

[[bead]]
type = "CH0"
number = 1
element = "C"
hydrogens = 0

[[bead]]
type = "O"
number = 2
element = "O"
"""
INLINE = """name = "mine"
position = "mass"
force = "sum"
bead = [
    { type = "BB", number = 1, atoms = ["N", "CA"] },
    { type = "SC", number = 2, atoms = ["CB"], residue = ["ALA"] },
]
"""
# Networks were trained on datasets that carry this hash: a new key must not change it.
HEAVY_HASH = "5b40a6d2f782ae7e676484d961d89647d5f2e4ee34a91f5a3d8f0f8adbde6b46"


def test_heavy_has_amaros_numbers():
    numbers = load_rules("heavy").type_numbers
    assert len(numbers) == 12
    assert [numbers[name] for name in ("CH0", "CH3", "NH0", "NH3", "OH0", "OH1", "SH0", "SH1")] == [
        1, 4, 5, 8, 9, 10, 11, 12,
    ]  # fmt: skip


def test_the_hash_of_heavy_never_changes(tmp_path):
    assert load_rules("heavy").hash == HEAVY_HASH
    text = (shipped("mappings") / "heavy.toml").read_text()
    path = tmp_path / "heavy.toml"
    path.write_text(text.replace('force = "sum"', 'force = "slice"'))
    assert load_rules(path).hash != HEAVY_HASH
    path.write_text(text.replace('force = "sum"', 'force = "sum"\nunmapped = "refuse"'))
    assert load_rules(path).hash == HEAVY_HASH  # the default, said aloud


def test_every_shipped_mapping_is_named_as_its_file():
    names = sorted(path.stem for path in shipped("mappings").glob("*.toml"))
    assert set(names) >= {"heavy", "heavy_residue", "backbone_cb", "ca_cb", "ca", "backbone_sidechain"}
    for name in names:
        rules = load_rules(name)
        assert rules.name == name
        assert sorted(rules.type_numbers.values()) == list(range(1, len(rules.bead) + 1))


def test_hash_follows_content_and_not_layout(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(RULES)
    first = load_rules(path).hash
    path.write_text("# a comment\n" + RULES.replace("\n\n", "\n"))
    assert load_rules(path).hash == first
    path.write_text(RULES.replace("number = 1", "number = 3"))
    assert load_rules(path).hash != first


@pytest.mark.parametrize(
    ("text", "change", "line", "words"),
    [
        (RULES, ("number = 1", "nummer = 1"), 6, "bead.0.number: Field required"),
        (RULES, ("hydrogens = 0", "hydrogens = 0\nnummer = 1"), 11, "bead.0.nummer: no such key"),
        (RULES, ('force = "sum"', 'force = "average"'), 4, "force: Input should be"),
        (RULES, ('force = "sum"', 'force = "sum"\nweights = 1'), 5, "weights: no such key"),
        (RULES, ("number = 1", "number = 0"), 8, "bead.0.number: .* greater"),
        (RULES, ("number = 2", "number = 1"), 12, "bead.1: another bead has the same number"),
        (RULES, ('type = "O"', 'type = "CH0"'), 12, "bead.1: another bead has the same type"),
        (RULES, ('element = "O"', 'element = "C"\nhydrogens = 0'), 12, "bead.1: .* same conditions"),
        (RULES, ('element = "O"', ""), 12, "bead.1: no condition"),
        (RULES, ('element = "O"', 'element = "O"\ncharge = "big"'), 16, "bead.1.charge"),
        (INLINE, ('["CB"]', "3"), 6, "bead.1.atoms"),
        (INLINE, ('"mass"', '"heavy"'), 5, "bead.0: several atoms"),
        (INLINE, ('residue = ["ALA"]', 'element = "C"'), 6, "bead.1: a bead of several atoms takes no"),
        (INLINE, ('residue = ["ALA"]', "carries = 3"), 6, "bead.1.carries"),
    ],
)
def test_wrong_rules_are_refused_by_file_line_and_key(tmp_path, text, change, line, words):
    assert change[0] in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(*change))
    with pytest.raises(InputError, match=words) as caught:
        load_rules(path)
    assert str(caught.value).startswith(f"{path}: line {line}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_toml_is_refused_with_its_line(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(RULES.replace('name = "mine"', "name = mine"))
    with pytest.raises(InputError, match=r"not TOML .*line 2"):
        load_rules(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not TOML"):
        load_rules(path)


def test_the_unchanged_texts_are_valid(tmp_path):
    for text in (RULES, INLINE):
        (tmp_path / "mine.toml").write_text(text)
        assert load_rules(tmp_path / "mine.toml").name == tomllib.loads(text)["name"]


def test_unknown_name_lists_the_shipped_ones():
    with pytest.raises(UsageError, match="heavy"):
        load_rules("lihgt")
