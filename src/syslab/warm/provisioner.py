"""Warm kernels for jupyter_client: nbclient, nbgrader, nbval and JupyterLab use them unchanged.

Registered as ``syslab-warm``. A program takes it up without being changed when
``JUPYTER_DEFAULT_PROVISIONER_NAME=syslab-warm`` is in its environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client import AsyncKernelClient, AsyncKernelManager
from jupyter_client.provisioning import KernelProvisionerBase
from traitlets import Any as AnyTrait
from traitlets import Unicode

from syslab.warm import service

END_S = 0.5  # that a killed kernel is waited for
ASK_S = 1.0  # that a kernel has to answer before it is asked once more


class WarmProvisioner(KernelProvisionerBase):
    """Fork the kernel from a template instead of starting it."""

    address = Unicode("", help="The template's address; empty: this process starts its own.")
    policy = AnyTrait(None, allow_none=True, help="A sandbox Policy, or None.")
    environment = AnyTrait(None, allow_none=True, help="All variables of the kernel, or None.")
    witness = AnyTrait(None, allow_none=True, help="See `service.fork`.")

    kernel: service.Kernel | None = None
    sockets: str = ""
    exceeded: str = ""  # the sandbox's limit that ended the kernel

    @property
    def has_process(self) -> bool:
        return self.kernel is not None

    async def poll(self) -> int | None:
        if self.kernel is None:
            return 0
        code = self.kernel.poll()
        self.exceeded = self.kernel.exceeded
        return code

    async def wait(self) -> int | None:
        code = 0
        while self.kernel is not None:
            ended = self.kernel.poll()
            if ended is not None:
                code = ended
                self.kernel.close()
                self.kernel = None
                break
            await asyncio.sleep(0.005)
        return code

    async def send_signal(self, signum: int) -> None:
        if self.kernel is not None:
            self.kernel.signal(signum)

    async def kill(self, restart: bool = False) -> None:
        if self.kernel is None:
            return
        self.kernel.signal(signal.SIGKILL)
        # It is gone in milliseconds, and the manager would look again after a tenth of a second.
        until = time.monotonic() + END_S
        while self.kernel.poll() is None and time.monotonic() < until:
            await asyncio.sleep(0.002)

    async def terminate(self, restart: bool = False) -> None:
        await self.kill(restart)

    async def cleanup(self, restart: bool = False) -> None:
        if self.kernel is not None:
            self.kernel.close()
            self.kernel = None
        if self.sockets and not restart:
            shutil.rmtree(self.sockets, ignore_errors=True)
            self.sockets = ""

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Sockets in a folder of their own; no port is opened, no connection file is shared."""
        manager = self.parent
        if not self.sockets:
            self.sockets = tempfile.mkdtemp(prefix="syslab-")
        manager.transport = "ipc"
        manager.ip = str(Path(self.sockets) / "k")
        manager.cache_ports = False
        for number, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), start=1):
            setattr(manager, f"{name}_port", number)
        self.connection_info = manager.get_connection_info()
        return await super().pre_launch(cmd=[], **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        address = self.address or service.shared().address
        environment = kwargs.get("env") if self.environment is None else self.environment
        self.kernel = service.fork(
            address,
            self.connection_info,
            folder=kwargs.get("cwd") or os.getcwd(),
            sockets=self.sockets,
            environment=environment,
            policy=self.policy,
            witness=self.witness,
        )
        return self.connection_info

    def get_shutdown_wait_time(self, recommended: float = 5.0) -> float:
        """Nothing is stored in the kernel: no need to wait for it to leave by itself."""
        return 0.5


def manager(
    address: str, *, kernel_name: str = "python3", config: Any = None, **options: Any
) -> AsyncKernelManager:
    """A kernel manager whose kernel is forked from the template at `address`.

    Parameters
    ----------
    address
        From `service.Template.address` or `service.resident`.
    kernel_name
        The kernel spec it goes by.
    config
        Traitlets configuration.
    **options
        Traits of `WarmProvisioner`: ``policy``, ``environment``; and ``sockets``.
    """
    made = AsyncKernelManager(kernel_name=kernel_name, config=config)
    made.client_factory = _Client
    sockets = str(options.pop("sockets", ""))
    warm = WarmProvisioner(
        kernel_id="", kernel_spec=made.kernel_spec, parent=made, address=address, **options
    )
    warm.sockets = sockets
    made.provisioner = warm
    return made


class _Client(AsyncKernelClient):
    """Ready as soon as the kernel answers: its sockets are bound before we connect."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        until = math.inf if timeout is None else time.monotonic() + timeout
        asked: set[str] = set()
        replied = False
        while time.monotonic() < until and await self.parent.is_alive():
            # What it published before our subscription reached it is lost: so ask once more.
            asked.add(self.kernel_info())
            with contextlib.suppress(Empty):
                if not replied:
                    self._handle_kernel_info_reply(await _answer(self.shell_channel, asked))
                    replied = True
                published = await _answer(self.iopub_channel, asked)
                while published["content"].get("execution_state") != "idle":
                    published = await _answer(self.iopub_channel, asked)
                return
        raise RuntimeError("the kernel ended, or did not answer in time, before its first cell")


async def _answer(channel: Any, asked: set[str]) -> dict[str, Any]:
    """The next message that answers one of the requests `asked`; raises Empty without one."""
    until = time.monotonic() + ASK_S
    while (left := until - time.monotonic()) > 0:
        said = await channel.get_msg(timeout=left)
        if said["parent_header"].get("msg_id") in asked:
            return said
    raise Empty
