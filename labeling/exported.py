"""Labelled clips as tasks that any Label Studio project with our interface imports.

Pure. The answer is stated to be no ground truth, for an import takes it for one otherwise, and it
would outrank whatever people answer afterwards. Knows nothing of files and servers.
"""

from __future__ import annotations

import re
from typing import Any

from al_loop.records import Example
from labeling.page import interface
from labeling.tasks import AUDIO, TEXT, local_audio_url

REQUIRED = re.compile(r"\$(\w+)")
"""What an interface reads of a task; Label Studio refuses tasks that lack any of it."""


def labelled_task(example: Example, address: str) -> dict[str, Any]:
    """The task of one clip with its text as the answer; address: from where it is played.

    {"data": {"audio": "/data/local-files/?d=…", "utterance": "5feb…", "language": "ky", …},
     "annotations": [{"result": [{"from_name": "transcription", "value": {"text": ["…"]}, …}]}]}
    """
    text = {
        "id": example.utterance_id[:10],
        "from_name": TEXT,
        "to_name": AUDIO,
        "type": "textarea",
        "value": {"text": [example.text]},
    }
    shown = dict.fromkeys(REQUIRED.findall(interface()), "") | {"hypothesis": example.text}
    return {
        "data": {
            **shown,
            AUDIO: address,
            "utterance": example.utterance_id,
            "language": example.language,
            "source": example.source,
            "duration_s": example.duration_s,
            "quality": example.quality,
        },
        "annotations": [{"result": [text], "was_cancelled": False, "ground_truth": False}],
    }


def played_at(audio: str, prefix: str | None, local: str) -> str:
    """The address of an audio file, which is named as in the workspace: `audio/5f/5feb….flac`.

    Below `prefix`; without one, below the folder `local` of the server's
    LOCAL_FILES_DOCUMENT_ROOT.
    """
    path = audio.removeprefix("audio/")
    return local_audio_url(f"{local}/{path}") if prefix is None else f"{prefix.rstrip('/')}/{path}"
