"""How the environment configures one function in a process of its own.

===========================  ==========================================================  =====================================
variable                     meaning                                                     used by
===========================  ==========================================================  =====================================
``DRASI_PROFILE``            ``embedded`` (default), ``emulator`` or ``cluster``         all
``DRASI_STATE``              the state directory (``.drasi``)                            all
``DRASI_MANIFEST``           file with the function's own resource                       source, reaction; query: optional
``DRASI_CONTAINER``          name of the container (``default``)                         query, without a manifest
``DRASI_INSTANCE``           which of its instances a process is (``0``)                 source
``DRASI_SOURCE_URL``         where sources are: ``http://{name}.svc:8080``               query, management
``DRASI_CONTAINER_URL``      where query containers are, likewise                        reaction, management
``DRASI_REACTION_URL``       where reactions are, likewise                               management
``DRASI_QUERY_URL``          where queries are, if not where their containers are        reaction
``DRASI_PORTS``              directory of ports: functions are on this machine           instead of the four URLs
``DRASI_PROJECT``            Google's project (else ``GOOGLE_CLOUD_PROJECT``)            profiles emulator and cluster
``DRASI_DATABASE``           Firestore's database (``(default)``)                        profiles emulator and cluster
``DRASI_SNAPSHOT_ENTRIES``   entries of a log from one snapshot to the next (5000)       query
``DRASI_LOG_BYTES``          so much of a log is kept for readers (1 GB)                 query
``DRASI_LOG_KEEP_S``         how long trimmed entries stay; less is for tests (3600)     query
``DRASI_SEQUENCES_FROM``     new queries count their events from this number on          management
``FIRESTORE_EMULATOR_HOST``  ``host:port`` of Firestore's emulator                       profile emulator
``PUBSUB_EMULATOR_HOST``     ``host:port`` of Pub/Sub's emulator                         profile emulator
===========================  ==========================================================  =====================================

Whose tokens are believed: see ``drasi.web.access``. ``DRASI_KEYS`` is ``keys.json`` of the state directory if nothing is said.

Profiles ``emulator`` and ``cluster``: what a function remembers is in Firestore, what functions tell each other goes through
Pub/Sub, snapshots and rows are read over HTTP. The process may end at any moment and be started again anywhere.

Profile ``embedded``: logs and memory are files of the state directory, and the bus reaches subscribers of the same process only.
So a query function answers pushes, bootstraps from source functions and serves rows and tails; a reaction function follows the
tails; a source function serves snapshots, and what it publishes reaches nobody. The management function runs what it manages within
its own process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, cast

from drasi.errors import DrasiError
from drasi.project import project_of

Profile = Literal["embedded", "emulator", "cluster"]
_PROFILES = ("embedded", "emulator", "cluster")
_EMULATORS = ("FIRESTORE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST")


class NotConfigured(DrasiError):
    """A variable of the environment is missing, or what it names is not as it must be."""

    code: ClassVar[str] = "NotConfigured"


class Environment:
    """What the variables say.

    Args:
        variables: See above; None: the process's own.

    Attributes:
        state: The state directory.
        profile: The profile.
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self.variables = os.environ if variables is None else variables
        self.state = Path(self.variables.get("DRASI_STATE", ".drasi"))
        profile = self.variables.get("DRASI_PROFILE", "embedded")
        if profile not in _PROFILES:
            raise NotConfigured(f"there is no profile '{profile}'", hint=f"set DRASI_PROFILE to one of {', '.join(_PROFILES)}")
        self.profile = cast("Profile", profile)
        named = [name for name in _EMULATORS if self.variables.get(name)]
        if profile == "emulator" and len(named) < len(_EMULATORS):
            raise NotConfigured("nobody said where the emulators are", hint=f"set {' and '.join(_EMULATORS)} to host:port of each")
        if profile == "cluster" and named:
            raise NotConfigured(f"{named[0]} is set in the profile 'cluster'", hint="unset it, or set DRASI_PROFILE=emulator")

    @property
    def project(self) -> str:
        """Google's project.

        Raises:
            NotConfigured
        """
        project = project_of(None, self.variables)
        if not project:
            raise NotConfigured("nobody said in which project of Google this is", hint="set DRASI_PROJECT to its id")
        return project

    def number(self, name: str) -> int | None:
        """A variable that is a whole number from 1; None: it is not set.

        Raises:
            NotConfigured
        """
        text = self.variables.get(name)
        if not text:
            return None
        if not text.isascii() or not text.isdigit() or int(text) < 1:
            raise NotConfigured(f"{name} is '{text[:50]}'", hint="set it to a whole number from 1")
        return int(text)
