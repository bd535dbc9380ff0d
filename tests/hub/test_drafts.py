"""Drafts belong to an organisation, are never overwritten unseen, and the oldest go when there are too many."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.settings import Settings
from hub.store import Changed, NotFound, Store, open_store, tenant


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(Settings(home=tmp_path).make_home())


def test_whoever_is_second_to_change_a_draft_is_told(store: Store) -> None:
    ada = store.within(store.members.add("Ours", "Ada", "engineer"))
    bo = store.within(store.members.add("Ours", "Bo", "engineer"))
    draft = ada.new_draft({"case": {"title": "a"}})
    seen = bo.draft(draft.id)
    assert ada.keep_draft(draft.id, {"case": {"title": "b"}}, draft.version).version == 2
    with pytest.raises(Changed) as caught:
        bo.keep_draft(draft.id, {"case": {"title": "c"}}, seen.version)
    assert (caught.value.by, caught.value.version) == ("Ada", 2)
    assert bo.draft(draft.id).document == {"case": {"title": "b"}}
    assert bo.keep_draft(draft.id, {"case": {"title": "c"}}, None).version == 3


def test_drafts_of_others_are_not_there(store: Store) -> None:
    ada = store.within(store.members.add("Ours", "Ada", "engineer"))
    eve = store.within(store.members.add("Theirs", "Eve", "admin"))
    draft = ada.new_draft({})
    assert eve.drafts() == []
    for act in (
        lambda: eve.draft(draft.id),
        lambda: eve.keep_draft(draft.id, {}, None),
        lambda: eve.drop_draft(draft.id),
    ):
        with pytest.raises(NotFound):
            act()
    ada.drop_draft(draft.id)
    with pytest.raises(NotFound):
        ada.draft(draft.id)


def test_of_too_many_the_oldest_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant, "KEPT", 3)
    ada = store.within(store.members.add("Ours", "Ada", "engineer"))
    made = [ada.new_draft({"n": i}).id for i in range(5)]
    assert [draft.id for draft in ada.drafts()] == made[:1:-1]
