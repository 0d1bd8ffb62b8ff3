"""Who people are on GitHub, and what they may do with a repository."""

from adapters.chat.port import Deadline, Gone
from adapters.forge.github.app import App
from adapters.forge.github.kept import Kept
from adapters.forge.port import Permission

LOGIN_SECONDS = 600.0
"""For which a login is used again; whoever it leads to is compared anyway."""
PERMISSIONS = {
    "admin": Permission.ADMIN,
    "write": Permission.WRITE,
    "read": Permission.READ,
    "none": Permission.NONE,
}
"""GitHub counts who maintains as one who writes, and who triages as one who reads."""


class People:
    """Looks accounts up by their ids, which stay when a login is given to somebody else."""

    def __init__(self, app: App) -> None:
        """`app` asks."""
        self._app = app
        self._logins: Kept[str] = Kept()

    async def login(self, repository: str, account: str, deadline: Deadline) -> str | None:
        """The login of the account with an id, asked as what we are in a repository.

        None: there is no such account, or we are not in the repository.

        :raises ChatError:
        """
        kept = self._logins.get(account)
        if kept is not None or not account.isdecimal():
            return kept
        try:
            answer = await self._app.call(deadline, repository, "GET", f"user/{account}")
        except Gone:
            return None
        login = str(answer.data["login"])
        self._logins.put(account, login, LOGIN_SECONDS)
        return login

    async def permission(self, repository: str, account: str, deadline: Deadline) -> Permission:
        """See `ForgePort.permission`."""
        for _ in range(2):
            login = await self.login(repository, account, deadline)
            if login is None:
                return Permission.NONE
            path = f"/collaborators/{login}/permission"
            try:
                answer = await self._app.call(deadline, repository, "GET", path)
            except Gone:
                return Permission.NONE
            if str((answer.data.get("user") or {}).get("id")) == account:
                return PERMISSIONS.get(answer.data["permission"], Permission.NONE)
            # Somebody else has the login by now.
            self._logins.drop(account)
        return Permission.NONE
