"""Another user of the machine gets nothing from the local servers: by no socket, no file and no wrong key."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import attrs
import botocore.session
import psycopg
import pytest
import requests
import sqlalchemy as sa
from botocore.config import Config
from other_user import SETTINGS, as_other_user, ask, listening, reachable
from sqlalchemy.engine import make_url

from holded_pipeline import local
from holded_pipeline.local import postgres_server
from holded_pipeline.local.postgres_server import PostgresServer
from holded_pipeline.local.process import Watchdog
from holded_pipeline.local.store_certificate import StoreCertificate

CONTENT = "what-only-its-owner-reads"
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nposted\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="posted"\r\n\r\nput\r\n--x--\r\n'
)


def request(method: str, path: str, body: bytes = b"", kind: str = "text/plain") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: application/json\r\n"
    forged = "X-Forwarded-For: 127.0.0.1\r\nAuthorization: Bearer x\r\n" if method == "PUT" else ""
    return f"{head}{forged}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def questions(bucket: str) -> list[bytes]:
    """To master, volume server, filer, admin and S3 server, whichever it is."""
    gets = ["/", f"/{bucket}/kept", f"/{bucket}?list-type=2", f"/buckets/{bucket}/?limit=5", f"/buckets/{bucket}/kept"]
    gets += [
        "/dir/assign",
        "/dir/status",
        "/vol/status",
        "/vol/grow?count=1",
        "/stats/disk",
        "/metrics",
        "/ui/index.html",
    ]
    return [
        *(request("GET", path) for path in gets),
        request("PUT", f"/buckets/{bucket}/put", b"put"),
        request("PUT", f"/{bucket}/put", b"put"),
        request("PUT", "/1,0101637037", b"put"),
        request("POST", f"/buckets/{bucket}/", FORM, "multipart/form-data; boundary=x"),
        request("POST", f"/{bucket}", FORM, "multipart/form-data; boundary=x"),
        request("POST", "/", b"Action=CreateAccessKey&UserName=holded", "application/x-www-form-urlencoded"),
        request("DELETE", f"/buckets/{bucket}/kept"),
        HTTP_2,
    ]


def gives_something(answer: str) -> bool:
    """Whether an answer is more than a refusal."""
    if answer.startswith("HTTP/1."):
        return answer.split(" ")[1] < "400" or CONTENT in answer
    return answer[3:9] == SETTINGS.decode() or CONTENT in answer


@pytest.fixture
def kept(lake):
    lake.filesystem().pipe(f"{lake.bucket}/kept", CONTENT.encode())
    yield lake
    assert lake.filesystem().find(lake.bucket) == [f"{lake.bucket}/kept"]
    assert lake.filesystem().cat(f"{lake.bucket}/kept") == CONTENT.encode()


def test_no_socket_of_the_servers_gives_or_takes_anything_without_a_key(stack, kept):
    sockets = listening(stack.folder)
    ports = {each[1] for each in sockets if not isinstance(each, str)}
    assert ports == {*stack._seaweedfs._ports, make_url(stack.postgres.url).port}
    assert {each[0] for each in sockets if not isinstance(each, str)} == {"127.0.0.1"}
    if os.geteuid() != 0:  # this user may open its own Unix sockets; whether others may only root can try
        sockets = [each for each in sockets if not isinstance(each, str)]
    asked = [(each, question) for each in sockets for question in questions(kept.bucket)]
    answers = as_other_user(lambda: [ask(*each) for each in asked])
    assert [(*each, answer) for each, answer in zip(asked, answers, strict=True) if gives_something(answer)] == []


def test_the_inner_ports_of_the_store_answer_no_certificate_but_their_own(stack, kept, tmp_path):
    inner = [("127.0.0.1", port) for port in stack._seaweedfs._ports[1:]]
    contexts = {"own": stack._seaweedfs._certificate, "foreign": StoreCertificate(tmp_path)}
    for name, certificate in contexts.items():
        context = certificate.client_context()
        context.check_hostname = False
        context.verify_mode = 0  # whoever asks does not mind whom
        context.set_alpn_protocols(["h2", "http/1.1"])
        answers = [ask(address, HTTP_2, context) for address in inner]
        assert [answer[3:9] == SETTINGS.decode() for answer in answers].count(True) == (9 if name == "own" else 0), (
            answers
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_no_file_of_the_servers_can_be_reached_by_another_user(stack, kept):
    paths = [stack.folder, *stack.folder.rglob("*")]
    assert len(paths) > 100
    assert any(path.suffix == ".dat" for path in paths)
    sockets = [Path(each) for each in listening(stack.folder) if isinstance(each, str)]
    assert len(sockets) >= 7
    assert as_other_user(lambda: reachable([*paths, *sockets])) == []


def open_to_others(folder: Path) -> list[str]:
    """What has a mode by which its group or others may do anything."""
    return [
        str(path.relative_to(folder))
        for path in [folder, *folder.rglob("*")]
        # The S3 server sets the mode of a volume's description by itself; the folder above it is closed.
        if path.suffix != ".vif" and not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]


def test_every_file_and_folder_is_its_owners_alone(stack, kept):
    assert open_to_others(stack.folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root cannot run PostgreSQL")
def test_where_postgres_runs_as_another_user_that_one_passes_through_and_no_other(monkeypatch):
    monkeypatch.setattr(postgres_server, "_can_unshare", lambda: False)
    with local.stack() as stack, stack.postgres.engine().connect() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
        paths = [stack.folder, *stack.folder.rglob("*")]
        assert as_other_user(lambda: reachable(paths)) == []
        assert [each for each in open_to_others(stack.folder) if not each.startswith("programs")] == ["."]
        assert stat.S_IMODE(stack.folder.stat().st_mode) == 0o710


@pytest.mark.parametrize("user", ["holded", "postgres", "nobody"])
@pytest.mark.parametrize("password", [None, "", "guess"])
def test_postgres_lets_nobody_in_without_the_password(stack, monkeypatch, user, password):
    monkeypatch.delenv("PGPASSWORD")
    url = make_url(stack.postgres.url).set(username=user).render_as_string()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url, password=password, passfile="/nowhere", dbname="postgres")


def test_the_user_of_the_database_runs_no_programs_and_reads_no_files(db):
    with db.engine().begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (v text)"))
    for source in ("PROGRAM 'id'", "'/etc/passwd'"):
        with db.engine().connect() as connection, pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            connection.execute(sa.text(f"COPY t FROM {source}"))


def test_no_text_of_a_stack_has_a_password(stack):
    secrets = [value for name, value in stack.environment().items() if "PASSWORD" in name or "SECRET" in name]
    secrets.append(stack.superuser(stack.postgres).password.reveal())
    assert len(set(secrets)) == 3
    logs = [path.read_text() for path in (stack.folder / "logs").iterdir()]
    shown = f"{stack!r}{stack.postgres!r}{stack.postgres}{stack.minio!r}{stack.superuser(stack.postgres)!r}{logs}"
    assert [secret for secret in secrets if secret in shown] == []


SESSION = botocore.session.get_session()


def signer(lake):
    return SESSION.create_client(
        "s3",
        endpoint_url=lake.endpoint,
        region_name=lake.region,
        aws_access_key_id=lake.access_key,
        aws_secret_access_key=lake.secret_key.reveal(),
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def presigned(lake, method: str) -> int:
    where = {"Bucket": lake.bucket, "Key": "kept"}
    url = signer(lake).generate_presigned_url(f"{method}_object", Params=where)
    return requests.request(method, url, data=CONTENT if method == "put" else None, timeout=10).status_code


def posted(lake) -> int:
    form = signer(lake).generate_presigned_post(lake.bucket, "kept")
    return requests.post(form["url"], data=form["fields"], files={"file": CONTENT}, timeout=10).status_code


def test_a_presigned_request_or_a_form_needs_the_right_key(kept):
    assert [presigned(kept, "get"), presigned(kept, "put"), posted(kept)] == [200, 200, 204]
    for wrong in (
        attrs.evolve(kept, secret_key="guess"),
        attrs.evolve(kept, access_key="guess"),
        attrs.evolve(kept, access_key="anonymous", secret_key="anonymous"),
    ):
        answers = [presigned(wrong, "get"), presigned(wrong, "put"), presigned(wrong, "delete"), posted(wrong)]
        assert answers == [403] * 4


@pytest.mark.parametrize("altered", ["/other?", "/kept?versionId=x&", "/kept?X-Amz-Security-Token=x&"])
def test_a_presigned_url_is_good_for_no_other_request(kept, altered):
    url = signer(kept).generate_presigned_url("get_object", Params={"Bucket": kept.bucket, "Key": "kept"})
    assert requests.put(url, data="put", timeout=10).status_code == 403
    assert requests.get(url.replace("/kept?", altered), timeout=10).status_code == 403


def test_variables_of_another_store_make_no_administrator(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "foreign")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "foreign-secret")
    monkeypatch.setenv("WEED_JWT_SIGNING_KEY", "foreign")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with local.stack() as stack:
        foreign = attrs.evolve(stack.minio, access_key="foreign", secret_key="foreign-secret")
        stack.minio.filesystem().pipe("holded/kept", b"v")
        assert presigned(foreign, "get") == 403


def test_a_folder_of_an_earlier_version_gets_a_password(tmp_path, monkeypatch):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    home = tmp_path / "kept"
    for each in (home, home / "postgres", home / "minio", home / "logs"):
        each.mkdir(mode=0o755)
    (home / "logs" / "postgres.log").touch(mode=0o644)
    watchdog = Watchdog()
    earlier = PostgresServer(home / "postgres", home / "logs", watchdog)
    (home / "postgres").chmod(0o700)
    made = earlier._run("initdb", "-D", str(home / "postgres"), "-U", "holded", "--auth=trust", "--no-sync")
    assert made.returncode == 0, made.stderr
    watchdog.dismiss()
    with local.stack(home) as stack:
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(stack.postgres.url, passfile="/nowhere")
        with stack.postgres.engine().connect() as connection:
            assert connection.execute(sa.text("SELECT current_user")).scalar_one() == "holded"
        assert [stat.S_IMODE(each.stat().st_mode) for each in (home, home / "minio", home / "logs")] == [0o700] * 3
        assert stat.S_IMODE((home / "logs" / "postgres.log").stat().st_mode) == 0o600
