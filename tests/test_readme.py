"""What the README shows is run as it stands there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)
    frames = names["frames"]
    assert frames.positions.shape == (11, 93, 3)
    angles = names["backbone_dihedrals"](frames.positions, frames.system)
    assert angles.shape == (11, 8, 2)


@pytest.mark.parametrize(
    "page", sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("[!.]*/**/*.md")])
)
def test_links_lead_to_something(page):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text()):
        assert link.startswith("http") or (ROOT / page.parent / link).exists(), link
