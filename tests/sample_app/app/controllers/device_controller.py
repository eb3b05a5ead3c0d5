import asyncio
import os

from routemq_tui import Controller


class DeviceController(Controller):
    def __init__(self):
        self.handled = 0

    async def handle_status(self, device_id, payload, client):
        self.handled += 1
        client.publish(f"seen/{device_id}", {"pid": os.getpid(), "number": self.handled}, qos=1)

    @staticmethod
    async def execute(device_id, payload, client):
        await asyncio.sleep(0.01)
        client.publish("executed", {"device": device_id, "pid": os.getpid(), **payload}, qos=1)
