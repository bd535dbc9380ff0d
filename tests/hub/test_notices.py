"""Mail and webhooks at the end of a run, over real sockets: once, to allowed places only, and no secret in a log."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from listening import HookServer, MailServer, serving

from flows.retain import retain
from hub.anywhere import Anywhere
from hub.clusters import read, save
from hub.notify import Blocked, Undelivered, allowed, deliver, resolved
from hub.register import Register
from hub.runfolder import Attempt, Job
from hub.settings import Settings
from hub.store import NewRun, Store, open_store


@pytest.fixture
def mailbox() -> Iterator[MailServer]:
    with serving(MailServer()) as server:
        yield server


@pytest.fixture
def hook() -> Iterator[HookServer]:
    with serving(HookServer()) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(Settings(home=tmp_path / "home"))
    yield opened
    opened.close()


End = Callable[..., str]


@pytest.fixture
def end_a_run(store: Store) -> End:
    """Ends a run of somebody who wants to be told."""

    def end(title: str = "The bracket", state: str = "done", **wish: str) -> str:
        who = store.members.add("Ours", "Anna", "engineer")
        store.wishes(who).want(mail=wish.get("mail", ""), webhook=wish.get("webhook", ""), language="it")
        run, _ = store.within(who).insert_run(
            NewRun(key=title, title=title, solver="fem.heat", until="report", case={}, case_si={}, geometry="0" * 64,
                   geometry_name="p.step")
        )  # fmt: skip
        failure = {"code": "diverged", "message": "It grew.", "hint": "Smaller steps."} if state == "failed" else None
        for _ in range(3):  # whoever says so again changes nothing
            store.orchestration.advance(run.id, expect={"queued"}, state=state, failure=failure)  # type: ignore[arg-type]
        return run.id

    return end


def settings(tmp_path: Path, mailbox: MailServer | None = None, hook: Any = None) -> Settings:
    return Settings(
        home=tmp_path / "home",
        address="https://hub.example.org",
        smtp=f"127.0.0.1:{mailbox.server_address[1]}" if mailbox else "",
        smtp_security="none",
        mail_from="hub@example.org",
        webhook_hosts=(f"127.0.0.1:{hook.server_address[1]}",) if hook else (),
    )


def test_the_end_of_a_run_is_told_once_by_mail_and_webhook_whoever_sends(
    store: Store, tmp_path: Path, mailbox: MailServer, hook: Any, end_a_run: End
) -> None:
    ours = settings(tmp_path, mailbox, hook)
    url = f"http://127.0.0.1:{hook.server_address[1]}/hooks?key=abc"
    run = end_a_run("A\r\nBcc: thief@example.org\r\n<script>", "failed", mail="anna@example.org", webhook=url)
    senders = [threading.Thread(target=deliver, args=(ours, store.notices)) for _ in range(6)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    deliver(ours, store.notices)
    assert {n.state for n in store.notices.of_run(run)} == {"sent"}
    [mail] = mailbox.mails
    assert mail["To"] == "anna@example.org"
    assert mail["Bcc"] is None
    assert mail["Subject"] == "fallito: A Bcc: thief@example.org <script>"
    assert f"https://hub.example.org/run?run={run}" in mail.get_content()
    assert "Smaller steps." in mail.get_content()
    assert mail.get_content_type() == "text/plain"
    [(headers, body)] = hook.told
    told = json.loads(body)
    assert told["run"] | {"ended": 0} == {
        "id": run, "title": "A\r\nBcc: thief@example.org\r\n<script>", "solver": "fem.heat", "state": "failed",
        "ended": 0, "failure": "diverged",
    }  # fmt: skip
    secret = store.wishes(store.members.add("Ours", "Anna", "engineer")).wish().secret
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Officina-Signature"] == f"sha256={signature}"
    assert headers["Idempotency-Key"] == told["id"]


def test_results_that_leave_a_cluster_are_told_of_by_one_mail(
    store: Store, tmp_path: Path, mailbox: MailServer, end_a_run: End
) -> None:
    """Of a cluster that keeps results for a day: warned at once."""
    ours = settings(tmp_path, mailbox)
    run = end_a_run("The mill", mail="anna@example.org")
    deliver(ours, store.notices)
    here = {"transport": "local", "scheduler": "none", "scratch": str(tmp_path / "far")}
    save(ours.home, read({"name": "attic", **here, "retention": 1}))
    for name in (f"{run}-solve-1", "of-nobody-solve-1"):
        attempt = Attempt.create(ours.home / "runs" / name, {}, {}, Job(name=name, argv=("true",)))
        register = Register(ours.home, "attic")
        register.enter(attempt)
        register.leave(name, {"fields.vtu": {"sha256": "0" * 64, "bytes": 9}})
        (register.entry(name) / "ended").touch()
    executor = Anywhere(ours.home)
    for _ in range(2):
        retain(executor, store.notices)
        deliver(ours, store.notices)
    executor.close()
    assert [mail["Subject"] for mail in mailbox.mails] == ["finito: The mill", "risultati in scadenza: The mill"]
    assert f"officina fetch {run} --all" in mailbox.mails[1].get_content()
    assert f"https://hub.example.org/run?run={run}" in mailbox.mails[1].get_content()


def test_what_fails_is_tried_again_later_under_the_same_name(
    store: Store, tmp_path: Path, hook: Any, end_a_run: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = settings(tmp_path, hook=hook)
    hook.answers[:] = [503]
    run = end_a_run(webhook=f"http://127.0.0.1:{hook.server_address[1]}/")
    assert deliver(ours, store.notices) == 0
    assert deliver(ours, store.notices) == 0  # not before its time
    [notice] = store.notices.of_run(run)
    assert (notice.state, notice.why) == ("due", "127.0.0.1 answered 503")
    now = time.time()
    monkeypatch.setattr("hub.store.notices.time.time", lambda: now + 3600)
    assert deliver(ours, store.notices) == 1
    assert len(hook.told) == 2
    assert len({headers["Idempotency-Key"] for headers, _ in hook.told}) == 1


def test_a_redirect_is_not_followed_and_a_refused_address_is_given_up(
    store: Store, tmp_path: Path, mailbox: MailServer, hook: Any, end_a_run: End
) -> None:
    hook.answers[:] = [302]
    url = f"http://127.0.0.1:{hook.server_address[1]}/"
    run = end_a_run(mail="nobody@example.org", webhook=url)
    assert deliver(settings(tmp_path, mailbox, hook), store.notices) == 0
    assert {n.state for n in store.notices.of_run(run)} == {"given up"}
    assert len(hook.told) == 1


def test_only_allowed_hosts_and_no_private_address_by_a_name(tmp_path: Path) -> None:
    ours = Settings(home=tmp_path, webhook_hosts=("hooks.example.org", "localhost", "10.0.0.5:9000"))
    assert allowed(ours, "https://hooks.example.org/a?b=c") == ("https", "hooks.example.org", 443, "/a?b=c")
    assert allowed(ours, "http://10.0.0.5:9000/")[2] == 9000
    for url in ("http://127.0.0.1/", "https://evil.example/", "ftp://hooks.example.org/", "http://10.0.0.5/",
                "https://hooks.example.org@evil.example/", "https://u:p@hooks.example.org/", "http://[::1]/", "x",
                "https://hooks.example.org.evil.example/", "http://hooks.example.org:99999/"):  # fmt: skip
        with pytest.raises(Blocked):
            allowed(ours, url)
    with pytest.raises(Undelivered, match="private"):
        resolved(ours, "localhost", 80)  # allowed by name, yet not that address
    assert resolved(Settings(home=tmp_path, webhook_hosts=("127.0.0.1",)), "127.0.0.1", 80) == "127.0.0.1"


def test_secrets_are_in_no_log(
    store: Store, tmp_path: Path, hook: Any, end_a_run: End, caplog: pytest.LogCaptureFixture
) -> None:
    ours = settings(tmp_path, hook=hook).model_copy(update={"smtp": "127.0.0.1:1", "smtp_user": "hub"})
    ours.make_home()
    (ours.secrets / "smtp").write_text("canary-password")
    hook.answers[:] = [500]
    end_a_run(mail="anna@example.org", webhook=f"http://127.0.0.1:{hook.server_address[1]}/?key=canary-key")
    with caplog.at_level(logging.DEBUG):
        deliver(ours, store.notices)
    secret = store.wishes(store.members.add("Ours", "Anna", "engineer")).wish().secret
    assert "notice" in caplog.text
    assert not any(word in caplog.text for word in ("canary", secret))
