"""Resources over REST (cli-and-api.md sections 4 and 5)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.routing import Route

from tests.web.managed import ALL, QUERY, REACTION, SOURCE, Managed

COUNTER = {"sources": {"subscriptions": [{"id": "clock"}]}, "query": "MATCH (c:Counter) RETURN c.value AS value"}


@pytest.fixture
async def managed() -> AsyncIterator[Managed]:
    managed = Managed()
    await managed.installation.restore()
    managed.runtime.asked.clear()
    yield managed
    await managed.client.aclose()


async def test_an_installation_begins_with_the_default_container(managed: Managed) -> None:
    (container,) = (await managed.client.get("/v1/queryContainers")).json()
    assert container["id"] == "default"
    assert container["spec"]["defaultStore"] == "durable"
    assert container["status"] == {"available": True, "messages": {}}


async def test_documents_are_applied_in_the_order_of_their_dependencies(managed: Managed) -> None:
    answer = await managed.apply(ALL)
    assert answer.status_code == 200
    assert [(outcome["kind"], outcome["name"], outcome["result"], outcome["version"]) for outcome in answer.json()] == [
        ("Reaction", "printer", "created", 1),
        ("ContinuousQuery", "ticks", "created", 1),
        ("Source", "clock", "created", 1),
    ]
    assert managed.runtime.asked == [
        "ensure Source/clock",
        "ensure ContinuousQuery/ticks",
        "configure default/ticks",
        "ensure Reaction/printer",
    ]
    settings = managed.runtime.settings["clock"]
    assert settings is not None
    assert (settings.kind, settings.properties["intervalMs"]) == ("Mock", 50)


async def test_the_configure_message_has_the_spec_with_its_defaults(managed: Managed) -> None:
    await managed.apply(ALL)
    ((container, message),) = managed.runtime.messages
    assert (container, message.queryId, message.version, message.sequenceFrom) == ("default", "ticks", 1, None)
    assert message.spec is not None
    assert message.spec["queryLanguage"] == "Cypher"
    assert message.spec["view"] == {"enabled": True, "retentionPolicy": "latest"}


async def test_the_same_again_changes_nothing(managed: Managed) -> None:
    await managed.apply(ALL)
    managed.runtime.asked.clear()
    assert await managed.results(ALL) == {"printer": "unchanged", "ticks": "unchanged", "clock": "unchanged"}
    assert managed.runtime.asked == []


async def test_with_one_invalid_document_nothing_is_applied_and_all_errors_are_said(managed: Managed) -> None:
    answer = await managed.apply(
        "---".join([SOURCE, QUERY.replace("query: MATCH", "qery: MATCH"), REACTION.replace("kind: Log", "kind: Lgo")])
    )
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["title"]) == (400, "Bad Request")
    assert len(problem["traceId"]) == 32
    assert [(error["code"], error["path"]) for error in problem["errors"]] == [
        ("UnknownField", "spec.qery"),
        ("UnknownProvider", "spec.kind"),
    ]
    assert problem["errors"][0]["hint"] == "did you mean 'query'?"
    assert [document["name"] for document in problem["documents"]] == ["clock", "ticks", "printer"]
    assert managed.runtime.asked == []
    assert (await managed.client.get("/v1/sources")).json() == []


async def test_errors_are_text_for_those_who_do_not_ask_for_json(managed: Managed) -> None:
    answer = await managed.client.post(
        "/v1/apply",
        content=SOURCE.replace("name: clock", "name: Clock"),
        headers={"Accept": "*/*", "Content-Type": "application/yaml"},
    )
    assert answer.status_code == 400
    assert (
        answer.text == "name 'Clock' must match ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$ and be at most 50 characters; for example 'clock'"
    )


async def test_what_is_not_built_is_a_warning_of_validate_and_an_error_of_apply(managed: Managed) -> None:
    later = QUERY.replace("RETURN c.value AS value", "WHERE drasi.trueFor(c.value > 1, duration('PT5S')) RETURN c.value AS value")
    validated = await managed.client.post("/v1/validate", content=later, headers={"Content-Type": "application/yaml"})
    if not any(warning["code"] == "NotYet" for warning in validated.json()[0].get("warnings", [])):
        pytest.skip("drasi.trueFor is built")
    assert validated.status_code == 200
    applied = await managed.apply(later)
    assert applied.status_code == 400
    assert {error["code"] for error in applied.json()["errors"]} == {"NotYet"}


async def test_warnings_are_in_the_answer_and_stay_with_the_resource(managed: Managed) -> None:
    (outcome,) = (await managed.apply(QUERY)).json()
    assert [warning["code"] for warning in outcome["warnings"]] == ["MissingSource"]
    resource = (await managed.client.get("/v1/continuousQueries/ticks")).json()
    assert [warning["code"] for warning in resource["warnings"]] == ["MissingSource"]


async def test_a_warning_goes_when_what_was_missing_has_come(managed: Managed) -> None:
    await managed.apply(QUERY.replace("{id: clock}", "{id: clock}, {id: other}"))
    await managed.apply(SOURCE)
    resource = (await managed.client.get("/v1/continuousQueries/ticks")).json()
    assert [warning["path"] for warning in resource["warnings"]] == ["spec.sources.subscriptions[1].id"]
    await managed.apply(SOURCE.replace("clock", "other"))
    (resource,) = (await managed.client.get("/v1/continuousQueries")).json()
    assert "warnings" not in resource
    assert "warnings" not in resource["status"]


async def test_a_failure_takes_only_its_dependents_with_it(managed: Managed) -> None:
    managed.runtime.broken.add("clock")
    other = SOURCE.replace("clock", "other")
    assert await managed.results("---".join([ALL, other])) == {
        "clock": "failed",
        "ticks": "failed",
        "printer": "failed",
        "other": "created",
    }


async def test_what_failed_is_tried_again_by_the_same_manifest(managed: Managed) -> None:
    managed.runtime.broken.add("clock")
    await managed.apply(SOURCE)
    status = (await managed.client.get("/v1/sources/clock")).json()["status"]
    assert status == {"available": False, "messages": {"OutOfOrder": "clock cannot start"}}
    managed.runtime.broken.clear()
    assert await managed.results(SOURCE) == {"clock": "unchanged"}
    assert managed.runtime.asked == ["ensure Source/clock"]
    assert (await managed.client.get("/v1/sources/clock")).json()["status"]["available"] is True


async def test_a_missing_secret_is_waited_for(managed: Managed, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = REACTION.replace("kind: Log", "kind: Http, properties: {baseUrl: {kind: Secret, name: chat, key: url}}")
    (outcome,) = (await managed.apply(manifest)).json()
    assert outcome["result"] == "created"
    assert {warning["code"] for warning in outcome["warnings"]} == {"MissingQuery", "MissingSecret"}
    resource = (await managed.client.get("/v1/reactions/printer")).json()
    assert resource["status"]["available"] is False
    assert resource["status"]["messages"] == {"MissingSecret": "missing: secret 'chat', key 'url'"}
    monkeypatch.setenv("DRASI_SECRET_CHAT_URL", "http://127.0.0.1:9")
    await managed.apply(manifest)
    settings = managed.runtime.settings["printer"]
    assert settings is not None
    assert settings.properties["baseUrl"] == "http://127.0.0.1:9"
    shown = (await managed.client.get("/v1/reactions/printer")).text
    assert "127.0.0.1:9" not in shown, "secrets are shown as references"


async def test_a_kind_without_implementation_stays_unavailable(managed: Managed) -> None:
    await managed.apply(SOURCE.replace('{kind: Mock, properties: {intervalMs: "50"}}', "{kind: Oracle}"))
    status = (await managed.client.get("/v1/sources/clock")).json()["status"]
    assert status["available"] is False
    assert "NoImplementation" in status["messages"]
    assert managed.runtime.asked == []


async def test_another_kind_is_deleted_and_created_as_one_step(managed: Managed) -> None:
    await managed.apply(SOURCE)
    managed.runtime.asked.clear()
    (outcome,) = (await managed.apply(SOURCE.replace('{kind: Mock, properties: {intervalMs: "50"}}', "{kind: Http}"))).json()
    assert (outcome["result"], outcome["replaced"], outcome["version"]) == ("updated", True, 2)
    assert managed.runtime.asked == ["remove Source/clock", "ensure Source/clock"]


async def test_put_takes_the_spec_or_a_manifest(managed: Managed) -> None:
    created = await managed.put("/v1/continuousQueries/ticks", COUNTER, {"Prefer": "return=created"})
    assert created.status_code == 201
    assert created.headers["etag"] == '"1"'
    assert created.json()["id"] == "ticks"
    assert created.json()["spec"] == COUNTER
    again = await managed.put(
        "/v1/continuousQueries/ticks", {"apiVersion": "v1", "kind": "Query", "name": "ticks", "spec": COUNTER}
    )
    assert (again.status_code, again.json()["version"]) == (200, 1)
    yaml = await managed.client.put("/v1/sources/clock", content="kind: Mock", headers={"Content-Type": "application/yaml"})
    assert (yaml.status_code, yaml.json()["spec"]) == (200, {"kind": "Mock"})


async def test_the_path_and_the_manifest_agree(managed: Managed) -> None:
    manifest = {"apiVersion": "v1", "kind": "ContinuousQuery", "name": "tocks", "spec": COUNTER}
    (error,) = (await managed.put("/v1/continuousQueries/ticks", manifest)).json()["errors"]
    assert (error["code"], error["message"]) == ("NameMismatch", "the path says 'ticks', the manifest 'tocks'")
    answer = await managed.put("/v1/sources/tocks", manifest)
    assert answer.json()["errors"][0]["message"] == "the path says 'Source', the manifest 'ContinuousQuery'"


async def test_places_in_a_spec_are_those_of_the_body(managed: Managed) -> None:
    answer = await managed.client.put(
        "/v1/sources/clock", content="kind: Mock\npropertis: {}\n", headers={"Content-Type": "application/yaml"}
    )
    (error,) = answer.json()["errors"]
    assert (error["path"], error["line"], error["column"]) == ("spec.propertis", 2, 1)


async def test_a_tag_in_the_path(managed: Managed) -> None:
    assert (await managed.put("/v1/sources/clock:v7", {"kind": "Mock"})).json()["tag"] == "v7"
    assert (await managed.client.get("/v1/sources/clock:v7")).json()["id"] == "clock"


async def test_writers_at_once(managed: Managed) -> None:
    await managed.put("/v1/sources/clock", {"kind": "Mock"})
    assert (await managed.put("/v1/sources/clock", {"kind": "Http"}, {"If-None-Match": "*"})).status_code == 409
    await managed.put("/v1/sources/clock", {"kind": "Mock", "properties": {"intervalMs": 7}}, {"If-Match": '"1"'})
    refused = await managed.put("/v1/sources/clock", {"kind": "Mock"}, {"If-Match": '"1"'})
    assert (refused.status_code, refused.json()["code"], refused.json()["detail"]) == (
        409,
        "Conflict",
        "changed meanwhile; read it again",
    )
    assert (await managed.client.delete("/v1/sources/clock", headers={"If-Match": '"1"'})).status_code == 409
    assert (await managed.client.delete("/v1/sources/clock", headers={"If-Match": '"2"'})).status_code == 204


async def test_a_dry_run_changes_nothing(managed: Managed) -> None:
    assert (await managed.put("/v1/sources/clock", {"kind": "Mock"}, dryRun="true")).json()["result"] == "created"
    assert [outcome["result"] for outcome in (await managed.apply(ALL, dryRun="true")).json()] == ["created"] * 3
    assert managed.runtime.asked == []
    assert (await managed.client.get("/v1/sources/clock")).status_code == 404


async def test_what_is_not_there(managed: Managed) -> None:
    answer = await managed.client.get("/v1/sources/clock", headers={"Accept": "text/plain"})
    assert (answer.status_code, answer.text) == (404, "Resource not found; there is no Source 'clock'")
    for path in ("ready-wait", "status", "versions", "errors"):
        assert (await managed.client.get(f"/v1/sources/clock/{path}")).status_code == 404
    assert (await managed.client.delete("/v1/sources/clock")).status_code == 404
    assert (await managed.client.get("/v1/elsewhere")).status_code == 404
    assert (await managed.client.get("/v1/sourceProviders/clock/ready-wait")).status_code == 404
    assert (await managed.client.patch("/v1/sources/clock")).status_code == 405


async def test_list_by_pages_and_labels(managed: Managed) -> None:
    await managed.apply("---".join(SOURCE.replace("clock", f"clock-{n}") + f"labels: {{even: '{n % 2 == 0}'}}\n" for n in range(5)))
    path: str | None = "/v1/sources?limit=2"
    pages = []
    while path is not None:
        answer = await managed.client.get(path)
        pages.append([resource["id"] for resource in answer.json()])
        path = httpx.URL(answer.links["next"]["url"]).raw_path.decode() if "next" in answer.links else None
    assert pages == [["clock-0", "clock-1"], ["clock-2", "clock-3"], ["clock-4"]]
    even = await managed.client.get("/v1/sources", params={"labels": "even=True"})
    assert [resource["id"] for resource in even.json()] == ["clock-0", "clock-2", "clock-4"]


async def test_delete_of_a_query_keeps_its_sequence(managed: Managed) -> None:
    await managed.apply(ALL)
    managed.runtime.statuses["ContinuousQuery", "ticks"]["sequence"] = 419
    assert (await managed.client.delete("/v1/continuousQueries/ticks")).status_code == 204
    assert managed.runtime.asked[-2:] == ["delete default/ticks", "remove ContinuousQuery/ticks"]
    await managed.apply(QUERY)
    configured = managed.runtime.messages[-1][1]
    assert configured.version == 2, "versions go on: the container ignores older ones"
    assert configured.sequenceFrom is not None
    assert configured.sequenceFrom > 419


async def test_a_query_that_moves_is_deleted_in_its_old_container(managed: Managed) -> None:
    container = "apiVersion: v1\nkind: QueryContainer\nname: port\nspec: {storage: {quick: {kind: memory}}}\n"
    await managed.apply("---\n".join([container, SOURCE, QUERY]))
    managed.runtime.asked.clear()
    await managed.apply(QUERY.replace("spec:", "spec:\n  container: port"))
    assert managed.runtime.asked == ["delete default/ticks", "ensure ContinuousQuery/ticks", "configure port/ticks"]


async def test_a_container_with_queries_is_in_use(managed: Managed) -> None:
    await managed.apply(ALL)
    answer = await managed.client.delete("/v1/queryContainers/default")
    assert (answer.status_code, answer.json()["detail"]) == (409, "QueryContainer/default is used by ContinuousQuery/ticks")
    assert (await managed.client.delete("/v1/queryContainers/default", params={"force": "true"})).status_code == 204
    assert (await managed.client.get("/v1/continuousQueries")).json() == []


async def test_a_provider_with_resources_is_in_use(managed: Managed) -> None:
    schema = "{properties: {intervalMs: {type: integer, default: 9}}}"
    provider = f"apiVersion: v1\nkind: SourceProvider\nname: Mock\nspec: {{services: {{proxy: {{}}}}, config_schema: {schema}}}\n"
    await managed.apply("---".join([SOURCE.replace('{intervalMs: "50"}', "{}"), "\n" + provider]))
    settings = managed.runtime.settings["clock"]
    assert settings is not None
    assert settings.properties["intervalMs"] == 9
    answer = await managed.client.delete("/v1/sourceProviders/Mock")
    assert (answer.status_code, answer.json()["code"]) == (409, "InUse")
    await managed.client.delete("/v1/sources/clock")
    assert (await managed.client.delete("/v1/sourceProviders/Mock")).status_code == 204


async def test_ready_wait(managed: Managed) -> None:
    await managed.apply(ALL)
    ready = await managed.client.get("/v1/continuousQueries/ticks/ready-wait")
    assert (ready.status_code, ready.content) == (200, b"")
    managed.runtime.statuses["ContinuousQuery", "ticks"]["status"] = "Bootstrapping"
    late = await managed.client.get("/v1/continuousQueries/ticks/ready-wait", params={"timeout": 0})
    assert late.status_code == 503
    assert late.json()["resourceStatus"]["status"] == "Bootstrapping"
    managed.runtime.statuses["ContinuousQuery", "ticks"] |= {"status": "TerminalError", "errorMessage": "PathLimit"}
    never = await managed.client.get("/v1/continuousQueries/ticks/ready-wait", params={"timeout": 300})
    assert (never.status_code, never.json()["detail"]) == (503, "PathLimit")
    too_long = await managed.client.get("/v1/continuousQueries/ticks/ready-wait", params={"timeout": 301})
    assert (too_long.status_code, too_long.json()["detail"]) == (400, "timeout must be less than 300 seconds")


async def test_stop_and_start(managed: Managed) -> None:
    await managed.apply(ALL)
    managed.runtime.asked.clear()
    for path in ("sources/clock", "continuousQueries/ticks", "reactions/printer"):
        assert (await managed.client.post(f"/v1/{path}/stop")).status_code == 202
    assert managed.runtime.asked == ["ensure Source/clock stopped", "stop default/ticks", "ensure Reaction/printer stopped"]
    status = (await managed.client.get("/v1/sources/clock")).json()["status"]
    assert status["available"] is False
    assert "Stopped" in status["messages"]
    restarted = Managed(store=managed.store)
    await restarted.installation.restore()
    assert "ensure Source/clock stopped" in restarted.runtime.asked
    assert "stop default/ticks" in restarted.runtime.asked
    assert (await managed.client.post("/v1/sources/clock/start")).status_code == 202
    assert managed.runtime.asked[-1] == "ensure Source/clock"
    assert (await managed.client.post("/v1/queryContainers/default/stop")).status_code == 404
    await restarted.client.aclose()


async def test_after_a_restart_everything_is_started_in_order(managed: Managed) -> None:
    await managed.apply(ALL)
    restarted = Managed(store=managed.store)
    await restarted.installation.restore()
    assert restarted.runtime.asked == [
        "ensure QueryContainer/default",
        "ensure Source/clock",
        "ensure ContinuousQuery/ticks",
        "configure default/ticks",
        "ensure Reaction/printer",
    ]
    assert restarted.runtime.messages[0][1].version == 1
    await restarted.client.aclose()


async def test_versions_and_errors(managed: Managed) -> None:
    await managed.put("/v1/sources/clock", {"kind": "Mock"})
    await managed.put("/v1/sources/clock", {"kind": "Mock", "properties": {"intervalMs": 7}})
    kept = (await managed.client.get("/v1/sources/clock/versions")).json()
    assert [(one["version"], one["time"], one["author"]) for one in kept] == [(2, 1_000, "local"), (1, 1_000, "local")]
    assert kept[1]["spec"] == {"kind": "Mock"}
    managed.runtime.found_errors["clock"] = [{"what": "deadLetter", "id": "7"}]
    assert (await managed.client.get("/v1/sources/clock/errors")).json() == [{"what": "deadLetter", "id": "7"}]


async def test_status_of_everything(managed: Managed) -> None:
    await managed.apply(ALL)
    managed.runtime.statuses["Source", "clock"] = {"available": False, "messages": {"Origin": "gone"}, "lagMs": 12}
    overview = (await managed.client.get("/v1/status")).json()
    assert overview["profile"] == "embedded"
    assert overview["counts"]["sources"] == 1
    assert overview["lagMs"] == {"Source/clock": 12}
    assert [(one["kind"], one["name"]) for one in overview["errors"]] == [("Source", "clock")]
    assert (await managed.client.get("/v1/sources/clock/status")).json()["lagMs"] == 12


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        ({"Content-Type": "application/xml"}, b"<a/>", 415, "UnsupportedMediaType"),
        ({"Content-Type": "application/yaml"}, b"a: [", 400, "InvalidYaml"),
        ({"Content-Type": "application/json"}, b"\xff", 400, "InvalidYaml"),
        ({"Content-Type": "application/yaml", "api-version": "v2"}, b"", 400, "BadRequest"),
        ({"Content-Type": "application/yaml"}, b"#" * 8_000_001, 413, "TooLarge"),
    ],
)
async def test_bodies_that_cannot_be_read(
    managed: Managed, headers: dict[str, str], content: bytes, status: int, code: str
) -> None:
    answer = await managed.client.post("/v1/apply", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=501"])
async def test_parameters_that_are_wrong(managed: Managed, query: str) -> None:
    answer = await managed.client.get(f"/v1/sources?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "BadRequest")


async def test_a_defect_is_answered_with_a_trace_and_no_content(managed: Managed, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(kind: str) -> None:
        raise RuntimeError("row data")

    managed.store.of_kind = broken  # type: ignore[assignment,method-assign]
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = await managed.client.get("/v1/sources", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert answer.status_code == 500
    assert answer.json()["traceId"] == trace
    assert "row data" not in answer.text
    assert trace in caplog.text


async def test_the_document_of_the_api_names_every_route(managed: Managed) -> None:
    document = (await managed.client.get("/api-doc/openapi.json")).json()
    described = {(path, verb.upper()) for path, verbs in document["paths"].items() for verb in verbs if verb != "parameters"}
    served = {
        (route.path, verb)
        for route in managed.app.routes
        if isinstance(route, Route) and route.path.startswith("/v1/")
        for verb in (route.methods or set()) - {"HEAD"}
    }
    assert described == served
    page = await managed.client.get("/swagger-ui/")
    assert page.status_code == 200
    assert "://" not in page.text.replace("http://www.w3.org", ""), "no foreign hosts"
