namespace OrleansFs.Client.Transport;

/// <summary>A connection as the handshake on it sees it.</summary>
internal interface IProvableConnection
{
    /// <summary>
    /// The way between the ends, as this one knows it: part of what both prove, so that who hands on what is said on one way to another is found out. The name of the <see cref="LocalDoor"/>; of TCP nothing, for behind a container's
    /// port or <c>--advertise</c> its ends know each other by different addresses.
    /// </summary>
    string Way { get; }

    /// <summary>The other end belongs to the cluster.</summary>
    void Proven();
}
