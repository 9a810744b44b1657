"""AWS Transfer Family: the SFTP server writes through S3, with the permissions of its user's role.

resource_types  AWS::Transfer::Server and ::User, and what DescribeServer shows of a server
service         lets the emulator's server use our files, and shows the fingerprint of its host key
sftp_files      what a client sees and does: a file is an object, put and saved when the client closes it
user_rights     what a user may do: what both its role and its session policy allow
server_log      the server's structured log
trial_user      the user that every local environment has from the start; the client creates its key

Connections, host keys and logical home directories stay the emulator's.
"""
