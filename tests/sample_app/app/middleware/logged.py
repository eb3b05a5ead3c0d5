import time
from collections.abc import Awaitable, Callable
from typing import Any

from routemq_tui import Middleware


class LoggedMiddleware(Middleware):
    """As RouteMQ's project template has it: who, what and how long."""

    async def handle(
        self, context: dict[str, Any], next_handler: Callable[[dict[str, Any]], Awaitable[Any]]
    ) -> Any:
        topic = context.get("topic", "unknown")
        client_id = context.get("client", {})._client_id if "client" in context else "unknown"
        begun = time.time()
        try:
            result = await next_handler(context)
            self.logger.info(f"{topic} of {client_id}: {(time.time() - begun) * 1000:.2f} ms")
            return result
        except Exception as error:
            self.logger.error(f"{topic} of {client_id}: {error}")
            raise
