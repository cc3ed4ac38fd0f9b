"""`make site`: every link within it leads somewhere, and every page states a policy that it obeys."""

import importlib.util
from pathlib import Path

import pytest

PLACE = Path(__file__).parents[1] / "docs" / "make_site.py"
spec = importlib.util.spec_from_file_location("make_site", PLACE)
assert spec is not None and spec.loader is not None
make_site = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_site)

HEAD = '<!doctype html>\n<html><head><meta charset="utf-8">'


@pytest.mark.parametrize(
    "link",
    ["other.html", "other.html#end", "#start", "docs/", "docs/index.html?v=1", "https://example.org/", "data:,x"],
)
def test_a_link_that_leads_somewhere_is_right(tmp_path, link):
    write(tmp_path, link)
    assert list(make_site.broken_links(tmp_path)) == []


@pytest.mark.parametrize(
    "link",
    ["none.html", "other.html#none", "#none", "/index.html", "../index.html", "http://example.org/", "//example.org/x",
     "javascript:alert(1)", "file:///etc/passwd", "docs/none/"],
)  # fmt: skip
def test_a_link_that_leads_nowhere_or_elsewhere_is_named(tmp_path, link):
    write(tmp_path / "site", link)
    write(tmp_path, "other.html")  # what lies beside the site does not count
    assert list(make_site.broken_links(tmp_path / "site")) == [f"index.html: {link}"]


def write(folder: Path, link: str) -> None:
    (folder / "docs").mkdir(parents=True)
    (folder / "index.html").write_text(f'<a id="start" href="{link}">a</a>')
    (folder / "other.html").write_text('<p id="end">')
    (folder / "docs" / "index.html").write_text('<a href="../other.html#end">')


def test_the_policy_permits_the_scripts_of_a_page_and_no_others():
    page = make_site.with_policy(f"{HEAD}<script>a()</script><script src=b.js></script><style>c</style></head></html>")
    policy = page.partition('content="')[2].partition('"')[0]
    assert policy.startswith("default-src 'none'; script-src 'self' 'sha256-") and policy.count("sha256-") == 2
    assert "script-src 'self' 'unsafe-inline'" not in policy and "https:" not in policy
    assert page.index("Content-Security-Policy") < page.index("<script")
