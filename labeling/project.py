"""The Label Studio project of a workspace: found again or made, with its labelling interface.

A project is recognised by a marker line in its description, never by its title or a number that
the caller remembers: a crash right after its creation leaves no second one behind. What a project
already has is left alone, for its annotators may have adapted it. Knows nothing of tasks.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import PurePath

from al_loop.errors import OracleUnavailable
from labeling.session import Session

INSTRUCTIONS = """
<p><b>Кыргызча.</b> Жазууну угуңуз. Алдын ала жазылган текст — программа укканы: аны чындап
айтылганга туура келгидей кылып оңдоңуз. Эч нерсе кошпоңуз, калтырбаңыз, «жакшыртпаңыз».
Жазуу угулбаса же башка тилде болсо, себебин белгилеңиз (1 же 2): анда текстти оңдоонун
кереги жок.</p>
<p><b>По-русски.</b> Прослушайте запись. Готовый текст — то, что услышала программа: исправьте
его так, чтобы он совпал со сказанным. Ничего не добавляйте, не пропускайте и не «улучшайте».
Если запись не разобрать или она на другом языке, отметьте причину (1 или 2): текст тогда
исправлять не нужно.</p>
<p>Ctrl+P: угуу / слушать · Shift+Enter, Ctrl+Enter: жөнөтүү / отправить</p>
"""

SHORTEST_TITLE, LONGEST_TITLE = 3, 50
"""Label Studio's own limits, in characters."""


def find_or_create_project(session: Session, workspace_id: str, title: str) -> int:
    """The id of the workspace's project; the oldest one, should there be several.

    Raises OracleUnavailable or OracleRefused.
    """
    marker = f"al_loop workspace {workspace_id}"
    found = _find(session, marker)
    if found is None:
        _create(session, marker, title)
        found = _find(session, marker)
    if found is None:
        raise OracleUnavailable(
            f"Label Studio made a project {title!r} but does not list it; try again later"
        )
    return found


def made_at(session: Session, project_id: int) -> str:
    """When the project was made: tells it from one of the same number in a fresh database."""
    return str(session.get(f"/api/projects/{project_id}/")["created_at"])


def add_local_audio_storage(session: Session, project_id: int, path: PurePath) -> None:
    """Let the project's annotators hear the files below `path`, a folder on the server.

    `path` must lie strictly below the server's LOCAL_FILES_DOCUMENT_ROOT. Calling twice adds
    nothing. Raises OracleUnavailable or OracleRefused.
    """
    rows = session.get("/api/storages/localfiles/", project=project_id)
    if any(row["path"] == str(path) for row in rows):
        return
    with session.sdk() as studio:
        studio.import_storage.local.create(
            project=project_id, path=str(path), title="al_loop audio", use_blob_urls=True
        )


def _create(session: Session, marker: str, title: str) -> None:
    interface = files("labeling").joinpath("interface.xml").read_text("utf-8")
    with session.sdk() as studio:
        studio.projects.create(
            title=title[:LONGEST_TITLE].ljust(SHORTEST_TITLE, "."),
            description=marker,
            label_config=interface,
            expert_instruction=INSTRUCTIONS,
            show_instruction=True,
            # The interface shows the hypothesis itself. A prediction that is copied into the page
            # as a region would be read-only until the annotator finds its pencil.
            show_collab_predictions=False,
            # By task id, so tasks pushed in rank order are answered in rank order.
            sampling="Sequential sampling",
            maximum_annotations=1,
        )


def _find(session: Session, marker: str) -> int | None:
    """The oldest of the token's projects with this line in its description."""
    page = 1
    while True:
        answer = session.get(
            "/api/projects", include="id,description", ordering="id", page_size=100, page=page
        )
        for row in answer["results"]:
            if marker in (row["description"] or "").splitlines():
                return row["id"]
        if not answer["next"]:
            return None
        page += 1
