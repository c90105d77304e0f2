"""MkDocs hooks: pages and schemas that lie beside ``docs/`` become part of the site, which loads
nothing from elsewhere.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
#: Pages that people look for beside `docs/`, and what the site calls them.
PAGES = {
    f"{name}.md": f"{name.lower()}.md"
    for name in ("README", "CONTRIBUTING", "SECURITY", "RELEASING", "CHANGELOG")
} | {"reports/README.md": "a-runs-folder.md"}
_PAGE_LINK = re.compile(rf"\]\((?:\.\./)?({'|'.join(map(re.escape, PAGES))})")
_TO_DOCS = re.compile(r"\]\((?:\.\./)?docs/")
_LOADED = re.compile(
    r"""<(?:script|img|iframe|link(?![^>]*rel="(?:canonical|next|prev)"))"""
    r"""[^>]*(?:src|href)="((?:https?:)?//[^"]*)"""
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and schemas that lie beside ``docs/``."""
    for source, name in PAGES.items():
        text = _TO_DOCS.sub("](", (ROOT / source).read_text(encoding="utf-8"))
        files.append(File.generated(config, name, content=text))
    for schema in sorted((ROOT / "schemas").glob("*.json")):
        files.append(File.generated(config, f"schemas/{schema.name}", abs_src_path=str(schema)))
    license = ROOT / "LICENSE"
    files.append(File.generated(config, license.name, abs_src_path=str(license)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Let links to those files lead to where they are in the site."""
    renamed = _PAGE_LINK.sub(lambda found: f"]({PAGES[found[1]]}", markdown)
    return renamed.replace("](../schemas/", "](schemas/")


def on_post_page(output: str, page: Page, **_: object) -> str:
    """Refuse a page that a browser could not show without a network.

    Raises:
        PluginError: it loads a script, a style or a picture from elsewhere.
    """
    if found := _LOADED.findall(output):
        raise PluginError(
            f"{page.file.src_uri} loads {', '.join(found)}: the site must work without a network"
        )
    return output
