from app.controllers.sensor_controller import SensorController
from app.middleware.logged import LoggedMiddleware

from routemq_tui import Router

router = Router(middleware=[LoggedMiddleware()])

router.on("sensors/{device_id}/data", SensorController.process_data, qos=1, shared=True, worker_count=2)
router.on("alerts/{device_id}", SensorController.handle_alert, qos=1)
