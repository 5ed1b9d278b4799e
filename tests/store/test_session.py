"""One session through everything that a network and a server can do to it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from farm.errors import SchemaMismatch, StoreError, StoreUnavailable
from farm.model import CommitReport
from farm.store.claims import ClaimStore
from farm.store.commits import CommitStore
from farm.store.connection import DeadlineConnection
from farm.store.session import Session
from tests.proxy import Fault, Hole, Proxy
from tests.servers import Server
from tests.store.bench import NOW_NS, QUICK, Bench, batch_of, outcomes

DEADLINE_S = 0.4
LAST_MESSAGE = b"DELETE FROM farm.lease"
"""Of a commit that settles a whole lease: the COMMIT stands in the same message."""


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    with Proxy(dsn) as running:
        yield running


@pytest.fixture
def session(dsn: str) -> Iterator[Session]:
    opened = Session(dsn, application_name="test", deadline_s=30)
    yield opened
    opened.close()


def backend_pid(connection: DeadlineConnection) -> int:
    return connection.info.backend_pid


def test_a_server_that_does_not_answer_is_given_up_and_asked_anew_later(proxy: Proxy) -> None:
    session = Session(proxy.dsn, application_name="test", deadline_s=DEADLINE_S)
    assert session.fetch("ask") == [(1,)]
    proxy.lose(Hole.ANSWERS)
    with pytest.raises(StoreUnavailable, match="did not answer in time"):
        session.fetch("ask")
    with pytest.raises(StoreUnavailable):
        session.fetch("ask")
    proxy.heal()
    assert session.fetch("ask") == [(1,)]
    session.close()


@pytest.mark.parametrize("keeps_plans", [False, True])
def test_a_commit_whose_answer_is_lost_is_found_to_be_done(bench: Bench, proxy: Proxy, keeps_plans: bool) -> None:
    bench.enqueue(20)
    claim = bench.claim(bench.host())
    session = Session(proxy.dsn, application_name="test", deadline_s=DEADLINE_S, keeps_plans=keeps_plans)
    commits = CommitStore(session, QUICK)
    lost = proxy.rule(Fault.SWALLOW, LAST_MESSAGE)
    with pytest.raises(StoreUnavailable):
        commits.commit(batch_of(outcomes(claim)), now_ns=NOW_NS)
    assert lost.fired == 1
    proxy.heal()
    assert commits.commit(batch_of(outcomes(claim)), now_ns=NOW_NS, again=True) == CommitReport(0, 0, 0, 20, 0)
    assert bench.value("SELECT count(*) FROM farm.result") == 20
    session.close()


def test_a_commit_that_never_arrived_is_made_by_the_retry(bench: Bench, proxy: Proxy) -> None:
    bench.enqueue(20)
    claim = bench.claim(bench.host())
    session = Session(proxy.dsn, application_name="test", deadline_s=DEADLINE_S)
    commits = CommitStore(session, QUICK)
    proxy.rule(Fault.CUT_BEFORE, LAST_MESSAGE)
    with pytest.raises(StoreUnavailable):
        commits.commit(batch_of(outcomes(claim)), now_ns=NOW_NS)
    proxy.heal()
    assert commits.commit(batch_of(outcomes(claim)), now_ns=NOW_NS, again=True) == CommitReport(20, 0, 0, 0, 0)
    session.close()


@pytest.mark.parametrize("keeps_plans", [False, True])
@pytest.mark.parametrize("arrives", [True, False])
def test_a_claim_whose_answer_is_lost_is_asked_again_for_the_same_jobs(
    bench: Bench, proxy: Proxy, arrives: bool, keeps_plans: bool
) -> None:
    ids = bench.enqueue(10)
    session = Session(proxy.dsn, application_name="test", deadline_s=DEADLINE_S, keeps_plans=keeps_plans)
    session.fetch("ask")
    claims = ClaimStore(session)
    arguments = bench.asking(bench.lease_id(bench.host()), 4)
    lost = proxy.rule(Fault.SWALLOW if arrives else Fault.CUT_BEFORE, b"FROM farm.claim_jobs(")
    with pytest.raises(StoreUnavailable):
        claims.claim(**arguments)
    assert lost.fired == 1
    proxy.heal()
    claim = claims.claim(**arguments)
    assert claim is not None
    assert claim.job_ids == ids[:4]
    assert bench.value("SELECT count(*) FROM farm.lease") == 1
    session.close()


def test_a_server_that_is_stopped_and_started_is_found_again(dsn: str, server: Server, session: Session) -> None:
    session.fetch("ask")
    server.stop("immediate")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            session.fetch("ask")
    server.start()
    assert session.fetch("ask") == [(1,)]


def test_a_backend_that_is_ended_costs_one_call(bench: Bench, session: Session) -> None:
    bench.sql.execute("SELECT pg_terminate_backend(%s)", [session.run(backend_pid)])
    with pytest.raises(StoreUnavailable):
        session.fetch("ask")
    assert session.fetch("ask") == [(1,)]


def test_bad_data_leaves_the_connection_as_it_is(session: Session) -> None:
    before = session.run(backend_pid)
    with pytest.raises(psycopg.DataError):
        session.run(lambda connection: connection.execute("BEGIN; SELECT 1/0"))
    with pytest.raises(psycopg.IntegrityError):
        session.run(lambda connection: connection.execute("INSERT INTO farm.heartbeat (host_id, state) VALUES (1, 'dead')"))
    assert session.run(backend_pid) == before


def test_lost_races_and_troubled_servers_are_worth_a_retry(session: Session) -> None:
    for sqlstate in (b"40001", b"40P01", b"55P03", b"57014", b"53100", b"25006"):
        statement = b"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '%s'; END $$" % sqlstate
        with pytest.raises(StoreUnavailable):
            session.run(lambda connection, statement=statement: connection.execute(statement))  # type: ignore[misc]


def test_other_errors_are_one_line_and_final(session: Session) -> None:
    with pytest.raises(SchemaMismatch, match=r'relation "farm.nothing" does not exist: run `farm migrate`'):
        session.run(lambda connection: connection.execute("SELECT * FROM farm.nothing"))
    with pytest.raises(StoreError, match="syntax error") as error:
        session.run(lambda connection: connection.execute("SELEC 1"))
    assert not isinstance(error.value, StoreUnavailable)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "dsn",
    [
        "host=/nonexistent user=u password=secret-word dbname=d",
        "postgresql://u:secret-word@127.0.0.1:1/d",
        "postgresql:/u:secret-word@host/d",
        "password=secret-word host",
    ],
)
def test_no_error_repeats_the_password(dsn: str) -> None:
    with pytest.raises(StoreError) as error:
        Session(dsn, application_name="test").fetch("ask")
    shown: BaseException | None = error.value
    while shown is not None:
        assert "secret-word" not in str(shown)
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)


def test_an_interrupt_or_a_forgotten_transaction_costs_the_connection(session: Session) -> None:
    def interrupted(connection: DeadlineConnection) -> None:
        raise KeyboardInterrupt

    before = session.run(backend_pid)
    with pytest.raises(KeyboardInterrupt):
        session.run(interrupted)
    after = session.run(backend_pid)
    assert after != before
    with pytest.raises(AssertionError):
        session.run(lambda connection: connection.execute("BEGIN"))
    assert session.run(backend_pid) != after


def test_the_server_ends_what_we_give_up_unless_a_pooler_shares_it(dsn: str) -> None:
    def limit(connection: DeadlineConnection) -> str:
        row = connection.execute("SHOW statement_timeout").fetchone()
        assert row is not None
        return str(row[0])

    direct, pooled = Session(dsn, application_name="test", deadline_s=7), Session(dsn, application_name="test", pooled=True)
    assert direct.run(limit) == "8s"
    assert pooled.run(limit) == "0"
    assert direct.fetch("ask", deadline_s=20) == [(1,)]
    assert direct.run(limit) == "8s"
    direct.close()
    pooled.close()
