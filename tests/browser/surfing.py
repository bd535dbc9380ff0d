"""The pages as a person uses them, for the tests beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Locator, Page, expect

from hub.client import Client

ROOT = Path(__file__).resolve().parents[2]
BRACKET = ROOT / "cases" / "bracket" / "bracket.step"


@dataclass(frozen=True)
class Hub:
    """address : as printed, logs in once; token : of the administrator"""

    url: str
    address: str
    token: str

    def client(self) -> Client:
        return Client(self.url, self.token)


class Pages:
    """The pages as a person uses them."""

    def __init__(self, page: Page, pictures: Path) -> None:
        self.page, self._pictures = page, pictures

    def settled(self) -> None:
        """Streamlit has drawn what it has to draw."""
        self.page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=60_000)
        expect(self.page.locator("[data-testid=stSpinner]")).to_have_count(0, timeout=120_000)
        self.page.wait_for_timeout(250)
        self.page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=60_000)

    def open(self, path: str) -> None:
        self.page.goto(path)
        self.settled()

    def press(self, name: str, *, exact: bool = True, within: Locator | None = None) -> None:
        (within or self.page).get_by_role("button", name=name, exact=exact).first.click(timeout=60_000)
        self.settled()

    def type(self, label: str, text: str) -> None:
        field = self.page.get_by_role("textbox", name=label, exact=True).last
        field.fill(text)
        field.press("Enter")
        self.settled()

    def choose(self, label: str, option: str) -> None:
        found = self.page.get_by_role("option", name=option).first
        for _ in range(10):  # a list that is drawn anew closes
            self.page.get_by_role("combobox", name=label).first.press("ArrowDown")
            self.page.wait_for_timeout(500)
            if found.is_visible():
                break
        found.click()
        self.settled()

    def upload(self, file: Path | dict[str, object]) -> None:
        self.page.locator("input[type=file]").first.set_input_files(file)  # type: ignore[arg-type]
        expect(self.page.get_by_role("button", name="Another file")).to_be_visible(timeout=120_000)
        self.settled()

    def pick(self, search: str, *, alike: bool = False) -> None:
        """Pick the first face that a search finds, and the others like it."""
        faces = self.page.locator(".faces[data-ready='1']")
        faces.locator("input[type=search]").fill(search)
        faces.locator("tr.row").first.click()
        expect(faces.locator("tr.row.on")).not_to_have_count(0)
        if alike:
            faces.locator(".more").click()
        faces.locator("input[type=search]").fill("")
        self.settled()

    def shows(self, role: Literal["heading", "link"], text: str) -> None:
        """There is an element of that role whose text is this, letter for letter, but for joiners nobody sees."""
        seen: list[str] = []
        for _ in range(120):
            seen = [t.replace("\u2060", "") for t in self.page.get_by_role(role).all_inner_texts()]
            if text in seen:
                return
            self.page.wait_for_timeout(250)
        raise AssertionError(f"no {role} says {text!r} but {seen}")

    def shot(self, name: str) -> None:
        self.settled()
        self.page.screenshot(path=self._pictures / f"{name}.png")
