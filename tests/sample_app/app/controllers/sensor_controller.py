from routemq_tui import Controller


class SensorController(Controller):
    @staticmethod
    async def process_data(device_id, payload, client):
        SensorController.logger.info("data of %s: %s", device_id, payload["value"])
        client.publish(f"stored/{device_id}", {"device": device_id, "value": payload["value"]}, qos=1)

    @staticmethod
    async def handle_alert(device_id, payload, client):
        client.publish("alerts-seen", {"device": device_id, "number": payload["number"]}, qos=1)
