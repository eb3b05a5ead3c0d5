from routemq_tui import Middleware


class StampMiddleware(Middleware):
    """Adds a field to each payload, and lets nothing of a blocked device through."""

    async def handle(self, context, next_handler):
        if context["params"].get("device_id") == "blocked":
            self.logger.info("blocked: %s", context["topic"])
            return None
        context["payload"] = {**context["payload"], "stamped": True}
        return await next_handler(context)
