"""The program inside the machine: PID 1, Python standard library only, one process, one loop.

    main ─▶ init          mounts, devices, limits (only as PID 1)
         ─▶ guest         owns the parts below and the words of the port
              ├─ port          the byte stream to the host (virtio-serial, no udev)
              ├─ handshake     hello, thaw, ssh, freeze: JSON lines, pure
              ├─ thaw          clock, entropy, identity
              ├─ login, relay  `sshd -i` behind a socket pair; logins nested in the first one
              ├─ server        guest.sock: start, attach, input, stop, list ... of jobs
              └─ questions     job.sock: a job asks a person

A job is started once by its id, has a cgroup and a spool of its own, and knows nothing of
connections: whoever attaches reads the spool from the offset they name.
"""
