namespace OrleansFs.Engine.Metadata;

/// <content>Taking a full copy of another meta.db in place of this one.</content>
internal sealed partial class MetadataStore
{
    /// <summary>Puts another database in the place of this one, in one transaction; committed on return. For a replica. Whoever reads sees the old state or the new.</summary>
    /// <remarks>The metadata lock is held meanwhile: some seconds a GiB.</remarks>
    /// <exception cref="MetadataException">Nothing has changed.</exception>
    public void ReplaceWith(Database other)
    {
        lock (Lock)
        {
            if (PendingMutations > 0 || _dirty.Count > 0)
                throw new InvalidOperationException("a volume with mutations of its own is not to be replaced");
            if (_inTransaction)
                _sql.Rollback.Run();
            _inTransaction = false;
            _localPending = false;
            _hasBranch = false;
            _effects.Clear();
            // All of it in memory until the commit would be too much.
            _database.Execute("PRAGMA cache_spill = ON");
            try
            {
                MetadataCopy.Copy(other, _database, CancellationToken.None);
                (Volume, var clock) = ReadVolume(_database, Volume.FormatVersion);
                Clock.Advance(clock);
                _counters = default;
            }
            finally
            {
                _database.Execute("PRAGMA cache_spill = OFF");
                ForgetAll();
            }
        }
    }
}
