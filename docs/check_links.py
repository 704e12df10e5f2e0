"""
Look whether every link of the built site leads somewhere, and whether the site needs anything from elsewhere.

    python docs/check_links.py docs/_build/html

Links to files and to places within pages are followed on the disk. Links to other sites are left alone, but scripts, styles and pictures
must all be local: the site works without a network.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}


class Page(HTMLParser):
    """What a page links to, what it loads, and the places in it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.places = set(), set(), {""}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.places |= {given[key] for key in ("id", "name") if given.get(key)}
        for key in ("href", "src"):
            if given.get(key):
                loads = (tag, key) in LOADED and not (
                    tag == "link" and given.get("rel") in ("canonical", "next", "prev", "search", "index")
                )
                (self.loads if loads else self.links).add(given[key])


def problems(root: Path) -> list[str]:
    """One sentence for each link that leads nowhere."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(root.rglob("*.html")) if "_static" not in path.parts}
    found = [] if pages else [f"{root} has no pages"]
    for path, page in pages.items():
        where = path.relative_to(root)
        for link in sorted(page.links | page.loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads and parts.scheme != "data":
                    found.append(f"{where} loads {link} from the network")
                continue
            target = path if not parts.path else (root if parts.path.startswith("/") else path.parent) / unquote(parts.path).lstrip("/")
            target = target / "index.html" if target.is_dir() else target
            target = target.resolve()
            if not target.is_file():
                found.append(f"{where} links to {link}, which does not exist")
            elif parts.fragment and target.suffix == ".html" and target in pages and unquote(parts.fragment) not in pages[target].places:
                found.append(f"{where} links to {link}, a page without that place")
    return found


def main() -> int:
    """Print what is wrong; the exit status is 1 if anything is."""
    root = Path(sys.argv[1]).resolve()
    found = problems(root)
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(found)} links of {root} lead nowhere")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
