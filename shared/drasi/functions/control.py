"""Messages to containers: what management and clocks send on the control topics."""

from __future__ import annotations

from drasi.bus.port import Bus
from drasi.messages import control
from drasi.messages.control import ControlMessage


async def send_control(bus: Bus, container: str, message: ControlMessage) -> None:
    """Publishes a message; returns when the bus holds it durably."""
    await bus.publish(
        f"{container}-control",
        control.encode(message),
        attributes={"drasi-type": "container-control", "container": container},
        ordering_key=container,
    )
