"""A small site on this machine, and functions that fetch its pages and read their titles."""

from __future__ import annotations

import csv
import re
import urllib.request
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

Page = tuple[str, str]
Title = tuple[str, str]
MISSING = 13


class Pages(BaseHTTPRequestHandler):
    """Answers with a page for each number, but for one that is missing."""

    def do_GET(self) -> None:
        """Send the page."""
        number = int(self.path.strip("/"))
        if number == MISSING:
            self.send_error(404)
            return
        body = f"<html><title>Page {number}</title>Nothing else.</html>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as there
        """Say nothing of requests."""


class Site:
    """The site: made before its worker is ready, called to serve until it is stopped."""

    def __init__(self, port_file: str) -> None:
        self._server = HTTPServer(("127.0.0.1", 0), Pages)
        Path(port_file).parent.mkdir(parents=True, exist_ok=True)
        Path(port_file).write_text(str(self._server.server_port))

    def __call__(self) -> None:
        """Serve."""
        self._server.serve_forever()


def urls(port_file: str, total: int) -> Iterator[str]:
    """Yield the addresses of the site's pages."""
    port = Path(port_file).read_text()
    for number in range(total):
        yield f"http://127.0.0.1:{port}/{number}"


def fetch(url: str) -> Page:
    """Return a page with its address. What goes wrong is raised: jobs.yaml says what follows."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=5) as answer:
        return url, answer.read().decode()


def title(page: Page) -> Title | None:
    """Return the title of a page that has one, with its address."""
    url, text = page
    found = re.search(r"<title>(.*?)</title>", text, re.DOTALL)
    return (url, found[1].strip()) if found else None


def save(titles: Iterable[Title], path: str) -> None:
    """Write the titles, sorted."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["url", "title"])
        rows.writerows(sorted(titles))
