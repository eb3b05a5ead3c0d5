from app.controllers.device_controller import DeviceController
from app.middleware.stamp import StampMiddleware

from routemq_tui import Router

router = Router()

with router.group(prefix="devices", middleware=[StampMiddleware()]) as devices:
    devices.on("status/{device_id}", DeviceController.handle_status, qos=1)
    devices.on("commands/{device_id}", DeviceController.execute, qos=1, shared=True, worker_count=3)
