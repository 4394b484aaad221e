"""Google's emulators of Firestore and Pub/Sub, as ``gcloud`` starts them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from pathlib import Path
from typing import ClassVar, Final

from drasi.emulate.child import Child, Say, python
from drasi.errors import DrasiError
from drasi.functions.addresses import HOST, free_port
from drasi.web.bearer import PARAMETER

FIRESTORE: Final = "firestore"
PUBSUB: Final = "pubsub"
_COMMANDS: Final = {FIRESTORE: ["emulators", "firestore"], PUBSUB: ["beta", "emulators", "pubsub"]}
_USUAL: Final = ("ConnectException", "Fetched url")
_TOKEN: Final = re.compile(rf"{PARAMETER}=[^\s&'\"]+")
_START_S = 90.0
_LOOK_S = 0.1


class EmulatorMissing(DrasiError):
    """An emulator cannot be started here."""

    code: ClassVar[str] = "EmulatorMissing"


class Emulator:
    """One emulator, started again when it dies; then it is empty.

    Args:
        name: ``firestore`` or ``pubsub``.
        directory: For its own files.
        project: The project it plays.

    Attributes:
        host: ``host:port``.
    """

    def __init__(self, name: str, directory: Path, project: str, say: Say) -> None:
        self.host = f"{HOST}:{free_port()}"
        command = [_gcloud(name), *_COMMANDS[name], "start", f"--host-port={self.host}", f"--project={project}"]
        if name == PUBSUB:
            (directory / name).mkdir(parents=True, exist_ok=True)
            command.append(f"--data-dir={directory / name}")
        environment = {**os.environ, "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
        self.child = Child(name, python("drasi.emulate.leash", *command), environment, _quieter(say))

    async def start(self) -> None:
        """Returns when it answers.

        Raises:
            EmulatorMissing
        """
        await self.child.start()
        await self.answers()

    async def answers(self) -> None:
        """Returns when it answers.

        Raises:
            EmulatorMissing
        """
        deadline = time.monotonic() + _START_S
        starts = self.child.starts
        host, _, port = self.host.partition(":")
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                if time.monotonic() > deadline or self.child.starts > starts + 2:
                    raise EmulatorMissing(
                        f"the emulator of {self.child.name} does not start",
                        hint=f"see its lines; try 'gcloud {' '.join(_COMMANDS[self.child.name])} start' by itself",
                    ) from None
                await asyncio.sleep(_LOOK_S)
                continue
            writer.close()
            return

    async def stop(self) -> None:
        await self.child.stop()


def _gcloud(name: str) -> str:
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        raise EmulatorMissing(
            f"the emulator of {name} needs gcloud",
            hint="install the Google Cloud CLI, then: gcloud components install cloud-firestore-emulator pubsub-emulator",
        )
    if shutil.which("java") is None:
        raise EmulatorMissing(f"the emulator of {name} needs Java", hint="install a Java runtime (21 or newer)")
    return gcloud


def _quieter(say: Say) -> Say:
    """An emulator tells of every connection, and of every push that finds nobody or is to come again; only what went wrong is worth
    a line, and no line shows the token of a push."""

    def saying(name: str, text: str) -> None:
        wrong = any(word in text for word in ("died", "ERROR", "SEVERE", "Exception"))
        if wrong and not any(word in text for word in _USUAL):
            say(name, _TOKEN.sub(f"{PARAMETER}=…", text))

    return saying
